-- Which points cost most time over the limit?
select
    point_id,
    attributes ->> 'city' as city,
    count(*) as intervals,
    count(*) filter (where is_overdue) as late,
    round(100.0 * count(*) filter (where is_overdue) / count(*), 1) as late_percent,
    sum(elapsed - time_limit) filter (where is_overdue) as over,
    count(*) < 30 as is_few
from scooters_ops.interval_history
where started_at >= :'since' and started_at < :'until'
group by point_id, city
having count(*) filter (where is_overdue) > 0
order by over desc, point_id asc, city asc;
