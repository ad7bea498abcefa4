-- Which limits page most and help least?
-- It did not help if nobody acknowledged it, or if it was over within five minutes.
select
    type,
    details ->> 'rule' as rule,
    details -> 'attributes' ->> 'city' as city,
    count(*) as notifications,
    count(*) filter (
        where acknowledged_at is null or ended_at < created_at + interval '5 minutes'
    ) as no_help,
    count(*) filter (where acknowledged_at is null) as unacknowledged,
    count(*) filter (where ended_at < created_at + interval '5 minutes') as over_soon,
    count(*) < 30 as is_few
from scooters_ops.notifications
where
    created_at >= :'since'
    and created_at < :'until'
    and type <> 'job_skipped'
group by type, rule, city
order by no_help desc, type asc, rule asc, city asc;
