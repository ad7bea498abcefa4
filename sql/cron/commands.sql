-- Which schedule and command does each job have? The other scripts include this file,
-- in pg_cron's database. It sets psql variables.

-- Before 1.5 pg_cron schedules by the minute only, so one job a minute runs the passes
-- of that minute.
select
    string_to_array(
        substring(extversion, '^[0-9.]+'), '.'
    )::int[] < array[1, 5] as knows_minutes_only
from pg_extension
where extname = 'pg_cron'
\gset
select
    :'knows_minutes_only'::boolean
    and :'pass_schedule' like '%second%' as detects_for_a_minute
\gset

-- Runs are deleted by the time they ended. A run that got no connection has neither a
-- start nor an end time: it is deleted together with a later run that is old enough.
-- Runs of removed jobs are recognized by their database and command.
select
    case
        when :'detects_for_a_minute'::boolean then '* * * * *'
        else :'pass_schedule'
    end as detect_schedule,
    case
        when :'detects_for_a_minute'::boolean
            then format(
                'call scooters_ops.detect_for_a_minute(%L)', :'pass_schedule'::text
            )
        else 'call scooters_ops.detect_in_batches()'
    end as detect_command,
    'call scooters_ops.prune_in_batches()' as prune_command,
    format(
        $command$set search_path = pg_catalog, pg_temp;
with ours as (
    select runid, coalesce(end_time, start_time) as ran_at
    from cron.job_run_details
    where
        status in ('succeeded', 'failed')
        and (
            jobid in (select jobid from cron.job where jobname in (%1$L, %2$L, %3$L))
            or jobid not in (select jobid from cron.job)
            and (
                database = %4$L and strpos(command, 'scooters_ops.') > 0
                or database = %5$L and strpos(command, %3$L) > 0
            )
        )
)
delete from cron.job_run_details
where runid in (
    select runid
    from ours
    where
        ran_at < now() - interval '%6$s seconds'
        or ran_at is null
        and runid < (
            select max(runid) from ours where ran_at < now() - interval '%6$s seconds'
        )
)$command$,
        :'detect_job'::text,
        :'prune_job'::text,
        :'prune_runs_job'::text,
        :'our_database'::text,
        :'cron_database'::text,
        :'cron_runs_seconds'::text
    ) as prune_runs_command
\gset
