-- When does a level of an escalation come?
-- at_factor counts in etas. Where the configured minimum is longer than eta * factor,
-- it counts in proportion to the limit, so that the level comes after the alert all the
-- same. Details that somebody has spoiled must not keep other notifications from being
-- planned.
create or replace function scooters_ops.level_due_at(
    level jsonb,
    created_at timestamptz,
    details jsonb
)
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return case
        when level ? 'after_seconds'
            then created_at
                + make_interval(secs => (level ->> 'after_seconds')::double precision)
        else scooters_ops.deadline_of(
            (details ->> 'started_at')::timestamptz,
            make_interval(
                secs => (details ->> 'limit_seconds')::double precision
                * (level ->> 'at_factor')::double precision
                / (details ->> 'factor')::double precision
            )
        )
    end;
exception
    when data_exception then return null;
end
$$;

comment on function scooters_ops.level_due_at(jsonb, timestamptz, jsonb) is
'When this level (an element of routes[].escalate) of a notification, inserted at created_at with these details, is due; null: never, because a skipped job has no eta.';

revoke execute on function scooters_ops.level_due_at(jsonb, timestamptz, jsonb)
from public;
