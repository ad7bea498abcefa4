-- How many intervals of a window lasted how many times their eta?
-- To the hundredth: counts of equal ratios can be added up, which percentiles cannot.
create or replace function scooters_ops.ratio_counts(
    since timestamptz,
    until timestamptz,
    attribute text default null
)
returns table (
    type scooters_ops.monitoring_notification_type,
    value text,
    ratio numeric,
    intervals bigint
)
language sql stable parallel safe
begin atomic -- noqa: disable=all
with measured as (
    select
        history.type,
        case when attribute is not null then history.attributes ->> attribute end as value,
        round(
            date_part('epoch', history.elapsed) * 100 / date_part('epoch', history.eta)
        ) as hundredths
    from scooters_ops.interval_history as history
    where
        history.started_at >= since
        and history.started_at < until
        and history.finished_at is not null
        and history.eta > interval '0'
),

counted as (
    select
        measured.type,
        measured.value,
        measured.hundredths,
        count(*) as intervals
    from measured
    group by measured.type, measured.value, measured.hundredths
)

select
    counted.type,
    counted.value,
    round(counted.hundredths::numeric / 100, 2),
    counted.intervals
from counted
-- Here, because further in it would keep the planner from leaving out the missions.
where scooters_ops.require_window(since, until);
end;

comment on function scooters_ops.ratio_counts(timestamptz, timestamptz, text) is
'How many of the closed recorded intervals that began in a window lasted how many times their eta (a number without unit, to the hundredth), by type and the value of an attribute of the mission (null: none was asked for, or the mission has none). Intervals without an eta, or with one of 0, have no ratio. SQLSTATE 22004, 22023: names the argument.';

revoke execute on function
scooters_ops.ratio_counts(timestamptz, timestamptz, text) from public;
grant execute on function
scooters_ops.ratio_counts(timestamptz, timestamptz, text) to scooters_ops_analyst;
