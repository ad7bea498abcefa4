-- At which hour of the day are couriers late?
with zone as materialized (
    select config #>> '{notifier,time_zone}' as name
    from scooters_ops.config_in_force
)

select
    date_part('hour', recorded.started_at at time zone zone.name)::integer as hour,
    count(*) as intervals,
    count(*) filter (where recorded.is_overdue) as late,
    round(100.0 * count(*) filter (where recorded.is_overdue) / count(*), 1)
        as late_percent,
    count(*) < 30 as is_few
from scooters_ops.interval_history as recorded
cross join zone
where recorded.started_at >= :'since' and recorded.started_at < :'until'
group by hour
order by hour;
