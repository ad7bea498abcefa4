-- Of which part of a window are there recorded intervals at all?
-- Whole days count, so that a night without missions is covered. It reads the two ends
-- of an index.
create or replace function scooters_ops.covered_time(
    since timestamptz,
    until timestamptz
)
returns table (covered_from timestamptz, covered_until timestamptz)
language sql stable parallel safe
begin atomic -- noqa: disable=all
with zone as (
    select in_force.config #>> '{notifier,time_zone}' as name
    from scooters_ops.config_in_force as in_force
),

-- Not min() and max(), which would read the whole view.
first_interval as (
    select history.started_at
    from scooters_ops.interval_history as history
    order by history.started_at
    limit 1
),

last_interval as (
    select history.started_at
    from scooters_ops.interval_history as history
    order by history.started_at desc
    limit 1
),

covered as (
    select
        greatest(
            since, date_trunc('day', first_interval.started_at, zone.name)
        ) as covered_from,
        least(
            until,
            now(),
            (
                date_trunc('day', last_interval.started_at at time zone zone.name)
                + interval '1 day'
            ) at time zone zone.name
        ) as covered_until
    from first_interval
    cross join last_interval
    cross join zone
    where scooters_ops.require_window(since, until)
)

select
    covered.covered_from,
    covered.covered_until
from covered
where covered.covered_from < covered.covered_until;
end;

comment on function scooters_ops.covered_time(timestamptz, timestamptz) is
'The part of a window from the day of the first recorded interval of all to the day of the last one, and not after now; no row: nothing is recorded of it. Days are those of notifier.time_zone. SQLSTATE 22004, 22023: names the argument.';

revoke execute on function scooters_ops.covered_time(timestamptz, timestamptz)
from public;
grant execute on function scooters_ops.covered_time(timestamptz, timestamptz)
to scooters_ops_analyst;
