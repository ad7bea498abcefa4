-- How are the passes stopped? psql -f sql/cron/unschedule.sql, or make unschedule.
-- Harmless where nothing is scheduled.
\set ON_ERROR_STOP on
\set QUIET on
\ir jobs.sql

\connect :"cron_database"
select to_regclass('cron.job') is not null as has_pg_cron
\gset
\if :has_pg_cron
select
    jobname as unscheduled_job,
    cron.unschedule(jobid) as is_done
from cron.job
where jobname in (:'detect_job', :'prune_job', :'prune_runs_job');
\else
\echo pg_cron has no tables in database :cron_database: nothing was scheduled.
\endif
