-- How are the passes stopped? psql -f sql/cron/unschedule.sql, or make unschedule.
-- It does nothing if nothing is scheduled.
\set ON_ERROR_STOP on
\set QUIET on
\ir jobs.sql

\if :has_pg_cron
\ir may_use_pg_cron.sql
select
    jobname as unscheduled_job,
    cron.unschedule(jobid) as is_done
from cron.job
where
    jobname = any(:'jobs')
    and (username = current_user or has_table_privilege('cron.job', 'delete'));
\else
\echo 'pg_cron has no tables in database' :cron_database: 'so nothing was scheduled.'
\endif
