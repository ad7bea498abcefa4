-- Do the passes run? psql -f sql/cron/status.sql, or make status.
-- Shows each job with its last run and its failures; ends with an error where detection
-- has stopped.
\set ON_ERROR_STOP on
\set QUIET on
\ir jobs.sql

select
    is_enabled,
    last_pass_at,
    last_pass_elapsed,
    last_pass_missions,
    last_pass_inserted,
    lock_holder,
    lock_waiters
from scooters_ops.detection_status;

select
    is_stalled,
    format(
        'Detection has STOPPED: %s.',
        coalesce(
            'the last pass started ' || (now() - last_pass_at) || ' ago',
            'there never was a pass'
        )
    ) as stalled_message,
    not is_enabled as is_disabled
from scooters_ops.detection_status
\gset

select
    coalesce(
        (
            select config -> 'detection' ->> 'schedule'
            from scooters_ops.config_in_force
        ),
        ''
    ) as detect_schedule
\gset

\connect :"cron_database"
select to_regclass('cron.job') is not null as has_pg_cron
\gset
\if :has_pg_cron
select
    job.jobname as job,
    job.schedule,
    job.active as is_active,
    last_run.start_time as last_run_at,
    last_run.status as last_run_status,
    last_run.return_message as last_run_message,
    runs.failures,
    runs.last_failure_at
from cron.job as job
left join lateral (
    select
        run.start_time,
        run.status,
        run.return_message
    from cron.job_run_details as run
    where run.jobid = job.jobid
    order by run.runid desc
    limit 1
) as last_run on true
left join lateral (
    select
        count(*) filter (where run.status = 'failed') as failures,
        max(run.start_time) filter (where run.status = 'failed') as last_failure_at
    from cron.job_run_details as run
    where run.jobid = job.jobid
) as runs on true
where job.jobname in (:'detect_job', :'prune_job', :'prune_runs_job')
order by job.jobname;

select
    count(*) = 0 as is_unscheduled,
    coalesce(
        bool_or(
            schedule <> :'detect_schedule'
            and strpos(command, quote_literal(:'detect_schedule')) = 0
        ),
        false
    ) as is_outdated
from cron.job
where jobname = :'detect_job'
\gset
select count(*) > 0 as prunes_as_before
from cron.job
where
    jobname = :'prune_job'
    and strpos(command, 'scooters_ops.prune_in_batches()') = 0
\gset
\if :is_unscheduled
\echo No pass is scheduled: make schedule
\endif
\if :is_outdated
\echo The schedule differs from the config in force: make schedule
\endif
\if :prunes_as_before
\echo The pruning job is of an earlier version, it keeps notifications: make schedule
\endif
\else
\echo pg_cron has no tables in database :cron_database: make schedule
\endif

\if :is_disabled
\echo Detection is disabled by config (detection.enabled).
\endif
\if :is_stalled
\warn :stalled_message
do $$
begin
    raise exception 'detection has stopped';
end
$$;
\endif
