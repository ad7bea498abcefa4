-- When does an interval that began then pass its limit?
-- Null where there is no limit, and for a time that no calendar of a program can show.
create or replace function scooters_ops.deadline_of(
    started_at timestamptz,
    time_limit interval
)
returns timestamptz
language sql stable parallel safe
return case
    when started_at + time_limit < timestamptz '9999-12-31 00:00:00+00'
        then started_at + time_limit
end;

comment on function scooters_ops.deadline_of(timestamptz, interval) is
'started_at + time_limit; null without a limit, and where the result is after the year 9999.';

revoke execute on function scooters_ops.deadline_of(timestamptz, interval) from public;
grant execute on function scooters_ops.deadline_of(timestamptz, interval)
to scooters_ops_analyst;
