-- How does pg_cron come to run the passes? psql -f sql/cron/schedule.sql, or make
-- schedule. In our database it reads the schedule of the config in force; in pg_cron's
-- database it makes three jobs. Jobs have names: running this again replaces them.
\set ON_ERROR_STOP on
\set QUIET on
\ir jobs.sql

do $$
begin
    if not exists (select from scooters_ops.config_in_force) then
        raise exception 'no config is in force: make config';
    end if;
end
$$;

select
    config -> 'detection' ->> 'schedule' as detect_schedule,
    config -> 'retention' ->> 'schedule' as prune_schedule,
    config -> 'retention' ->> 'cron_runs_seconds' as cron_runs_seconds
from scooters_ops.config_in_force
\gset

\connect :"cron_database"
set client_min_messages = warning;
create extension if not exists pg_cron;
reset client_min_messages;

-- Before 1.5 pg_cron knows minutes only: each minute a job runs the passes of that
-- minute.
with pg_cron as (
    select
        string_to_array(substring(extversion, '^[0-9.]+'), '.')::int[] < array[1, 5]
        and :'detect_schedule' like '%second%' as runs_minutes_only
    from pg_extension
    where extname = 'pg_cron'
),

jobs as (
    select
        :'detect_job' as name,
        case
            when pg_cron.runs_minutes_only then '* * * * *'
            else :'detect_schedule'
        end as schedule,
        case
            when pg_cron.runs_minutes_only
                then format(
                    'call scooters_ops.detect_for_a_minute(%L)', :'detect_schedule'
                )
            else 'call scooters_ops.detect_in_batches()'
        end as command,
        :'our_database' as database
    from pg_cron
    union all
    select
        :'prune_job' as name,
        :'prune_schedule' as schedule,
        'call scooters_ops.prune_in_batches()' as command,
        :'our_database' as database
    union all
    select
        :'prune_runs_job' as name,
        :'prune_schedule' as schedule,
        format(
            'delete from cron.job_run_details'
            || ' where end_time < now() - interval ''%s seconds'' and jobid in'
            || ' (select jobid from cron.job where jobname in (%L, %L, %L))',
            :'cron_runs_seconds',
            :'detect_job',
            :'prune_job',
            :'prune_runs_job'
        ) as command,
        current_database() as database
)

select
    name as job,
    schedule,
    database,
    case
        when database = current_database() then cron.schedule(name, schedule, command)
        else cron.schedule_in_database(name, schedule, command, database)
    end as jobid
from jobs;
