-- How long do intervals take, compared with their limits?
select
    type,
    count(*) as intervals,
    make_interval(
        secs => percentile_cont(0.5) within group (
            order by date_part('epoch', elapsed)
        )
    ) as median,
    make_interval(
        secs => percentile_cont(0.9) within group (
            order by date_part('epoch', elapsed)
        )
    ) as ninth_decile,
    make_interval(
        secs => percentile_cont(0.5) within group (
            order by date_part('epoch', time_limit)
        )
    ) as median_limit,
    count(*) < 30 as is_few
from scooters_ops.interval_history
where started_at >= :'since' and started_at < :'until'
group by type
order by type;
