-- How did what was reported end?
select
    type,
    resolution,
    count(*) as notifications,
    count(acknowledged_at) as acknowledged,
    count(*) < 30 as is_few
from scooters_ops.notifications
where created_at >= :'since' and created_at < :'until'
group by type, resolution
order by type asc, notifications desc, resolution asc;
