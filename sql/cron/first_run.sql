-- Do the jobs that were just made run? Read by schedule.sql, in pg_cron's database.
-- Waits until the first run has ended, or until the pass that it makes is there: before
-- 1.5 a run lasts for a minute. Sets the psql variable needs_person.
\if :knows_minutes_only
\echo 'Waiting for the first run: pg_cron starts jobs at the full minute.'
\else
\echo 'Waiting for the first run.'
\endif
set statement_timeout = 0;
select
    jobid as first_jobid,
    set_config('scooters_ops.first_jobid', jobid::text, false) as jobid_setting,
    set_config('scooters_ops.wait_seconds', :'wait_seconds', false) as wait_setting
from cron.job
where
    jobname in (:'detect_job', :'first_run_job')
    and username = current_user
order by jobname = :'first_run_job' desc
limit 1
\gset

do $$
declare
    gives_up_at constant timestamptz := clock_timestamp() + make_interval(
        secs => current_setting('scooters_ops.wait_seconds')::integer
    );
begin
    loop
        exit when clock_timestamp() > gives_up_at or exists (
            select from cron.job_run_details
            where
                jobid = current_setting('scooters_ops.first_jobid')::bigint
                and (
                    status in ('succeeded', 'failed')
                    or status = 'running'
                    and start_time < clock_timestamp() - interval '2 seconds'
                )
        );
        perform pg_sleep(0.1);
    end loop;
end
$$;
reset statement_timeout;

select
    coalesce(max(start_time), '-infinity') as first_run_at,
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
set statement_timeout = 0;
select set_config('scooters_ops.first_run_at', :'first_run_at', false) as run_setting
\gset
do $$
declare
    gives_up_at constant timestamptz := clock_timestamp() + interval '30 seconds';
begin
    loop
        exit when clock_timestamp() > gives_up_at or exists (
            select from scooters_ops.detection_passes
            where started_at >= current_setting('scooters_ops.first_run_at')::timestamptz
        );
        perform pg_sleep(0.1);
    end loop;
end
$$;
select count(*) > 0 as has_run
from scooters_ops.detection_passes
where started_at >= :'first_run_at'
\gset
\connect :"cron_database"
\ir session.sql
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
\warn 'The first run has begun, and no pass has ended within 30 seconds.'
\else
\warn 'pg_cron has not run the job in' :wait_seconds 'seconds.'
\warn 'Does its launcher run (see the server log)? Is cron.launch_active_jobs on?'
\endif
\endif
