-- How many were late on each day?
with zone as materialized (
    select config #>> '{notifier,time_zone}' as name
    from scooters_ops.config_in_force
)

select
    (recorded.started_at at time zone zone.name)::date as day,
    count(*) as intervals,
    count(*) filter (where recorded.is_overdue) as late,
    round(100.0 * count(*) filter (where recorded.is_overdue) / count(*), 1)
        as late_percent,
    count(*) < 30 as is_few
from scooters_ops.interval_history as recorded
cross join zone
where recorded.started_at >= :'since' and recorded.started_at < :'until'
group by day
order by day;
