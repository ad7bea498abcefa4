-- How long do jobs take by each rule of this config?
create or replace function scooters_ops.job_etas(config jsonb)
returns table (rule text, job_eta_seconds jsonb, default_job_eta interval)
language sql stable parallel safe
begin atomic -- noqa: disable=all
select
    '',
    job_etas.config #> '{detection,job_eta_seconds}',
    make_interval(
        secs => (
            job_etas.config #>> '{detection,default_job_eta_seconds}'
        )::double precision
    )
union all
select
    override.name,
    coalesce(
        override.job_eta_seconds, job_etas.config #> '{detection,job_eta_seconds}'
    ),
    override.default_job_eta
from scooters_ops.config_overrides(job_etas.config) as override
where override.type = 'timeout_in_point';
end; -- noqa: enable=all

comment on function scooters_ops.job_etas(jsonb) is
'The etas of jobs by the default rule (an empty name) and by each override of a config with its defaults: by type (JSON object of numbers, in seconds), and of a job whose type has none (interval).';

revoke execute on function scooters_ops.job_etas(jsonb) from public;
