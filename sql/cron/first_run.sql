-- Do the new jobs run? schedule.sql includes this file, in pg_cron's database.
-- It waits until the first run has ended or, before pg_cron 1.5, where a run lasts for
-- a minute, until its first pass has ended. It sets the psql variable needs_person.
\if :knows_minutes_only
\echo 'Waiting for the first run: pg_cron starts jobs at the full minute.'
\else
\echo 'Waiting for the first run.'
\endif
select
    jobid as first_jobid,
    format(
        'select from cron.job_run_details where jobid = %s and ('
        || ' status in (''succeeded'', ''failed'')'
        || ' or status = ''running'''
        || ' and start_time < clock_timestamp() - interval ''2 seconds'')',
        jobid
    ) as awaited
from cron.job
where
    jobname in (:'detect_job', :'first_run_job')
    and username = current_user
order by jobname = :'first_run_job' desc
limit 1
\gset
\set seconds :wait_seconds
\ir wait_until.sql

-- The launcher may note the start when the job's first pass has begun.
select
    coalesce(max(start_time) - interval '5 seconds', '-infinity') as first_run_at,
    count(*) > 0 as has_begun,
    coalesce(bool_and(status = 'running'), false) as is_running,
    coalesce(bool_or(status = 'succeeded'), false) as has_run
from cron.job_run_details
where
    jobid = :first_jobid
    and status in ('running', 'succeeded', 'failed')
\gset

\if :is_running
\connect :"our_database"
\ir session.sql
select
    format(
        'select from scooters_ops.detection_passes where started_at >= %L',
        :'first_run_at'
    ) as awaited
\gset
\set seconds 30
\ir wait_until.sql
select count(*) > 0 as has_run
from scooters_ops.detection_passes
where started_at >= :'first_run_at'
\gset
\connect :"cron_database"
\ir session.sql
-- A run of one pass may have ended before it was seen running.
select :'has_run'::boolean or count(*) > 0 as has_run
from cron.job_run_details
where jobid = :first_jobid and status = 'succeeded'
\gset
\endif

\if :has_run
\echo 'Passes run.'
\else
\set needs_person true
select count(*) > 0 as has_failed
from cron.job_run_details
where jobid = :first_jobid and status = 'failed'
\gset
\if :has_failed
\elif :has_begun
\warn 'The first run has started, but no pass has ended within 30 seconds.'
\else
\warn 'pg_cron has not run the job in' :wait_seconds 'seconds.'
\warn 'Does its launcher run (see the server log)? Is cron.launch_active_jobs on?'
\endif
\endif
