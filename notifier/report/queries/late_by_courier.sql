-- Which couriers were late most often, and by how much in all?
select
    performer_id,
    max(attributes ->> 'performer_name') as name,
    count(*) as intervals,
    count(*) filter (where is_overdue) as late,
    round(100.0 * count(*) filter (where is_overdue) / count(*), 1) as late_percent,
    sum(elapsed - time_limit) filter (where is_overdue) as over,
    count(*) < 30 as is_few
from scooters_ops.interval_history
where started_at >= :'since' and started_at < :'until'
group by performer_id
order by is_few asc, late_percent desc, performer_id asc;
