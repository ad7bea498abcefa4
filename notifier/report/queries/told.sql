-- How soon was somebody told, and of what was nobody told?
select
    type,
    count(*) as notifications,
    count(told_at) as told,
    count(*) - count(told_at) as untold,
    make_interval(
        secs => percentile_cont(0.5) within group (
            order by date_part('epoch', told_after)
        )
    ) as told_after,
    max(told_after) as longest,
    count(*) < 30 as is_few
from scooters_ops.response_times
where noticed_at >= :'since' and noticed_at < :'until'
group by type
order by type;
