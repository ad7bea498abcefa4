-- How are the passes scheduled? psql -f sql/cron/schedule.sql, or make schedule.
-- It reads the schedules from the config in force, in our database, and creates three
-- jobs in pg_cron's database, which replace jobs of the same names. Then it waits for a
-- pass, for as many seconds as the psql variable wait_seconds says (0: no wait), and
-- says what to do if none runs.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?wait_seconds}
\else
\set wait_seconds 90
\endif
\set is_scheduling true
\ir jobs.sql

\if :has_config
\else
do $$
begin
    raise exception 'no config is in force: make config';
end
$$;
\endif

\set may_use_pg_cron :may_schedule
\ir may_use_pg_cron.sql
create extension if not exists pg_cron;
\ir commands.sql

-- cron.schedule does not change the host, the port or the active flag of an existing
-- job. If the schedule may run nothing within a minute, another job makes the first
-- run.
begin;
select count(cron.unschedule(jobid)) as replaced_jobs
from cron.job
where
    jobname = any(:'jobs')
    and (
        username = current_user
        or has_table_privilege('cron.job', 'delete')
    )
\gset

with jobs (name, schedule, command, database) as (
    values
    (:'detect_job', :'detect_schedule', :'detect_command', :'our_database'),
    (:'prune_job', :'prune_schedule', :'prune_command', :'our_database'),
    (:'prune_runs_job', :'prune_schedule', :'prune_runs_command', :'cron_database'),
    (:'first_run_job', '* * * * *', :'detect_command', :'our_database')
)

select
    name as job,
    schedule,
    database,
    case
        when database = current_database() then cron.schedule(name, schedule, command)
        else cron.schedule_in_database(name, schedule, command, database)
    end as jobid
from jobs
where
    name <> :'first_run_job'
    or (
        :'detect_schedule' not like '%second%'
        and :'detect_schedule' <> '* * * * *'
        and :'wait_seconds'::integer > 0
    );
commit;

\set needs_person false
select
    :'is_enabled'::boolean and :'wait_seconds'::integer > 0 as waits,
    current_setting('cron.log_run')::boolean as logs_runs
\gset
\if :waits
\if :logs_runs
\ir first_run.sql
\else
\echo 'cron.log_run is off, so runs leave no result: make status in a minute.'
\endif
\endif

\set is_stalled false
\ir problems.sql
\if :has_problems
\warn :problems
\set needs_person true
\endif
select count(cron.unschedule(jobid)) as first_run_jobs
from cron.job
where jobname = :'first_run_job' and username = current_user
\gset
\if :needs_person
\set VERBOSITY terse
do $$
begin
    raise exception 'the jobs were created, and a person is needed';
end
$$;
\endif
