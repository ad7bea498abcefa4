-- Who took care, and how soon?
select
    acknowledged_by,
    count(*) as notifications,
    make_interval(
        secs => percentile_cont(0.5) within group (
            order by date_part('epoch', acknowledged_after)
        )
    ) as acknowledged_after,
    count(*) < 30 as is_few
from scooters_ops.response_times
where noticed_at >= :'since' and noticed_at < :'until'
group by acknowledged_by
order by notifications desc, acknowledged_by asc;
