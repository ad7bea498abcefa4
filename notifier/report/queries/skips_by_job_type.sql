-- Which jobs are skipped most often?
-- The jobs of the missions that started in this window: of each, the interval that
-- began at its start.
select
    job.type,
    count(*) as jobs,
    count(*) filter (where job.status = 'skipped') as skipped,
    round(100.0 * count(*) filter (where job.status = 'skipped') / count(*), 1)
        as skipped_percent,
    count(*) < 30 as is_few
from scooters_ops.interval_history as started
inner join scooters_ops.job_history as job using (mission_id)
where
    started.started_at >= :'since'
    and started.started_at < :'until'
    and started.from_point_id is null
group by job.type
order by is_few asc, skipped_percent desc, job.type asc;
