-- How late was it noticed, and what delayed it?
select
    late_because,
    count(*) as notifications,
    make_interval(
        secs => percentile_cont(0.5) within group (
            order by date_part('epoch', noticed_after)
        )
    ) as median,
    max(noticed_after) as longest,
    count(*) < 30 as is_few
from scooters_ops.response_times
where
    noticed_at >= :'since'
    and noticed_at < :'until'
    and type <> 'job_skipped'
group by late_because
order by notifications desc, late_because asc;
