-- How many intervals of a window would have been overdue at which factor?
-- One pass over the recorded intervals. It is inlined, so the mission is looked up only
-- where an attribute is asked for.
create or replace function scooters_ops.threshold_counts(
    since timestamptz,
    until timestamptz,
    attribute text default null
)
returns table (
    type scooters_ops.monitoring_notification_type,
    value text,
    factor numeric,
    overdue bigint,
    overdue_without_minimum bigint,
    intervals bigint
)
language sql stable parallel safe
begin atomic -- noqa: disable=all
with in_point as materialized (
    select date_part('epoch', rule.minimum) as seconds
    from scooters_ops.timeout_rules as rule
    where rule.type = 'timeout_in_point'
),

between_points as materialized (
    select date_part('epoch', rule.minimum) as seconds
    from scooters_ops.timeout_rules as rule
    where rule.type = 'timeout_between_points'
),

-- An override that is gone leaves the default's minimum. Half a microsecond is taken
-- off, so that a limit that is just reached is not exceeded.
measured as (
    select
        history.type,
        case when attribute is not null then history.attributes ->> attribute end as value,
        date_part('epoch', history.elapsed) - 0.0000005 as seconds,
        date_part('epoch', history.eta) as eta_seconds,
        case
            when override.name is not null then date_part('epoch', override.minimum)
            when history.type = 'timeout_in_point' then (select seconds from in_point)
            else (select seconds from between_points)
        end as minimum_seconds
    from scooters_ops.interval_history as history
    left join scooters_ops.override_rules as override
        on
            history.rule = override.name
            and history.type = override.type
    where
        history.started_at >= since
        and history.started_at < until
        and history.finished_at is not null
        and history.eta is not null
    -- Each expression is computed once for a row.
    offset 0
),

-- How many of the factors it exceeds.
levels as (
    select
        measured.type,
        measured.value,
        case
            when measured.seconds > measured.eta_seconds * 3 then 4
            when measured.seconds > measured.eta_seconds * 2 then 3
            when measured.seconds > measured.eta_seconds * 1.5 then 2
            when measured.seconds > measured.eta_seconds * 1.2 then 1
            else 0
        end as level,
        measured.seconds > measured.minimum_seconds as is_over_minimum,
        count(*) as intervals
    from measured
    group by 1, 2, 3, 4
)

select
    levels.type,
    levels.value,
    factor.factor,
    coalesce(
        sum(levels.intervals) filter (
            where levels.level >= factor.level and levels.is_over_minimum
        ),
        0
    )::bigint,
    coalesce(
        sum(levels.intervals) filter (where levels.level >= factor.level), 0
    )::bigint,
    sum(levels.intervals)::bigint
from levels
cross join (
    values (1, 1.2), (2, 1.5), (3, 2), (4, 3)
) as factor (level, factor)
-- Here, because further in it would keep the planner from leaving out the missions.
where scooters_ops.require_window(since, until)
group by levels.type, levels.value, factor.factor;
end;

comment on function
scooters_ops.threshold_counts(timestamptz, timestamptz, text) is
'How many of the closed recorded intervals with an eta that began in a window would have been overdue at which factor, with and without the minimum in force, by type and the value of an attribute of the mission (null: none was asked for, or the mission has none); intervals: how many there are. SQLSTATE 22004, 22023: names the argument.';

revoke execute on function
scooters_ops.threshold_counts(timestamptz, timestamptz, text) from public;
grant execute on function
scooters_ops.threshold_counts(timestamptz, timestamptz, text) to scooters_ops_analyst;
