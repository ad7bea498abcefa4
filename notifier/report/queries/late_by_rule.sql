-- Which rule judged how many, and how many were late?
select
    rule,
    type,
    count(*) as intervals,
    count(*) filter (where is_overdue) as late,
    round(100.0 * count(*) filter (where is_overdue) / count(*), 1) as late_percent,
    min(time_limit) as shortest_limit,
    max(time_limit) as longest_limit,
    count(*) < 30 as is_few
from scooters_ops.interval_history
where started_at >= :'since' and started_at < :'until'
group by rule, type
order by is_few asc, late_percent desc, rule asc, type asc;
