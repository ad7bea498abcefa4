-- How often was each city late?
select
    attributes ->> 'city' as city,
    count(*) as intervals,
    count(*) filter (where is_overdue) as late,
    round(100.0 * count(*) filter (where is_overdue) / count(*), 1) as late_percent,
    count(*) < 30 as is_few
from scooters_ops.interval_history
where started_at >= :'since' and started_at < :'until'
group by city
order by is_few asc, late_percent desc, city asc;
