-- Do the passes run? psql -f sql/cron/status.sql, or make status.
-- It shows each job with its last run and its failures. Then it lists what needs a
-- person on standard error, one line each, and ends with an error if there is anything.
\set ON_ERROR_STOP on
\set QUIET on
\set is_scheduling false
\ir jobs.sql

select
    :'has_pg_cron'::boolean and :'may_use_pg_cron'::boolean as can_see_jobs,
    :'has_pg_cron'::boolean and not :'may_use_pg_cron'::boolean as lacks_grant,
    :'is_stalled'::boolean
    or (:'is_enabled'::boolean and not :'has_pg_cron'::boolean) as has_problems,
    concat_ws(
        chr(10),
        case
            when not :'has_pg_cron'::boolean
                then format(
                    'No pass is scheduled: pg_cron has no tables in database %s:'
                    || ' make schedule',
                    :'cron_database'::text
                )
        end,
        case when :'is_stalled'::boolean then :'stalled_message' end
    ) as problems
\gset

\if :can_see_jobs
select
    job.jobname as job,
    job.username as owner,
    job.schedule,
    job.active as is_active,
    last_run.start_time as last_run_at,
    last_run.status as last_run_status,
    regexp_replace(last_run.return_message, :'steering', ' ', 'g') as last_run_message,
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
\ir commands.sql
\ir problems.sql
select
    row_security_active('cron.job')
    and :'is_passing'::boolean
    and not exists (
        select from cron.job
        where jobname = :'detect_job'
    ) as runs_unseen
\gset
\if :runs_unseen
\echo 'None of your jobs runs passes. A pass ran lately, so another user may own the'
\echo 'job: only its owner and superusers see it.'
\endif
\endif

\if :lacks_grant
\echo 'You may not see the jobs. A superuser can allow it in database' :cron_database:
\echo :missing_grant
\endif
\if :is_enabled
\else
\echo 'The config disables detection (detection.enabled).'
\endif
\if :has_problems
\warn :problems
\set VERBOSITY terse
do $$
begin
    raise exception 'a person is needed';
end
$$;
\endif
