-- How long should a job take?
create or replace function scooters_ops.job_seconds(
    eta interval,
    type text,
    job_eta_seconds jsonb,
    default_job_eta interval
)
returns double precision
language sql immutable parallel safe
return coalesce(
    date_part('epoch', eta),
    (job_eta_seconds ->> type)::double precision,
    date_part('epoch', default_job_eta)
);

comment on function scooters_ops.job_seconds(interval, text, jsonb, interval) is
'Planned time of a job in seconds: its own eta, else that of its type (JSON object of numbers, in seconds), else the default.';

revoke execute on function scooters_ops.job_seconds(interval, text, jsonb, interval)
from public;
grant execute on function scooters_ops.job_seconds(interval, text, jsonb, interval)
to scooters_ops_analyst;
