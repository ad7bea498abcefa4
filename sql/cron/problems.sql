-- What is wrong with pg_cron's jobs, and what should a person do? The other scripts
-- include this file, in pg_cron's database. It sets the psql variables has_problems and
-- problems, one line for each problem.
with expected_jobs (jobname, schedule, command, database) as (
    values
    (:'detect_job', :'detect_schedule', :'detect_command', :'our_database'),
    (:'prune_job', :'prune_schedule', :'prune_command', :'our_database'),
    (:'prune_runs_job', :'prune_schedule', :'prune_runs_command', :'cron_database')
),

our_jobs as (
    select job.*
    from cron.job as job
    where job.jobname = any(:'jobs')
),

-- The last run of each job, except those that a restart or a pause ended.
last_runs as (
    select
        job.*,
        run.status,
        btrim(split_part(run.return_message, chr(10), 1)) as message
    from our_jobs as job
    cross join lateral (
        select
            details.status,
            details.return_message
        from cron.job_run_details as details
        where
            details.jobid = job.jobid
            and details.status in ('succeeded', 'failed')
            and coalesce(details.return_message, '')
            not in ('server restarted', 'job canceled')
        order by details.runid desc
        limit 1
    ) as run
),

suffixes as (
    select :job_suffix as suffix
    from pg_database
),

-- statement_timeout for the job's owner in its database: the most specific setting.
time_limits as (
    select
        job.username,
        job.database,
        coalesce(
            (
                select split_part(entry.setting, '=', 2)
                from pg_db_role_setting as own
                cross join unnest(own.setconfig) as entry (setting)
                where
                    starts_with(entry.setting, 'statement_timeout=')
                    and own.setdatabase in (0, pg_database.oid)
                    and own.setrole in (0, pg_roles.oid)
                order by own.setrole = 0, own.setdatabase = 0
                limit 1
            ),
            (
                select server.setting || server.unit
                from pg_settings as server
                where
                    server.name = 'statement_timeout'
                    and server.source in ('configuration file', 'command line')
            ),
            '0'
        ) as statement_timeout
    from our_jobs as job
    inner join pg_database on job.database = pg_database.datname
    inner join pg_roles on job.username = pg_roles.rolname
    where job.jobname = :'detect_job'
),

problems (place, line) as (
    select
        1 as place,
        'No pass is scheduled: make schedule' as line
    where
        :'is_enabled'::boolean
        and :'detect_job' not in (select our_jobs.jobname from our_jobs)
        and not (:'is_passing'::boolean and row_security_active('cron.job'))
    union all
    select
        2 as place,
        :'stalled_message'
        || case
            when
                current_setting('cron.log_run')::boolean
                and :'detect_job' in (select our_jobs.jobname from our_jobs)
                and not exists (
                    select from cron.job_run_details
                    where jobid in (select our_jobs.jobid from our_jobs)
                )
                then
                    ' pg_cron has not run its job. Does its launcher run (see the'
                    || ' server''s log)? Is cron.launch_active_jobs on?'
            else ''
        end as line
    where :'is_stalled'::boolean
    union all
    select
        3 as place,
        format('Job %s is missing: make schedule', jobname) as line
    from expected_jobs
    where
        jobname not in (select our_jobs.jobname from our_jobs)
        and :'detect_job' in (select our_jobs.jobname from our_jobs)
    union all
    select
        4 as place,
        format('Job %s is paused (cron.job.active): make schedule', jobname) as line
    from our_jobs
    where not active
    union all
    select
        5 as place,
        format(
            'Job %s is not as the config in force and this version define it:'
            || ' make schedule',
            our_jobs.jobname
        ) as line
    from our_jobs
    inner join expected_jobs
        on our_jobs.jobname = expected_jobs.jobname
    where
        :'has_config'::boolean
        and (our_jobs.schedule, our_jobs.command)
        is distinct from (expected_jobs.schedule, expected_jobs.command)
    union all
    select
        6 as place,
        format(
            'Job %s runs in database %s, not in %s: make schedule',
            our_jobs.jobname,
            our_jobs.database,
            expected_jobs.database
        ) as line
    from our_jobs
    inner join expected_jobs
        on our_jobs.jobname = expected_jobs.jobname
    where our_jobs.database <> expected_jobs.database
    union all
    select
        7 as place,
        format(
            'Job %s runs on another server, host %s, port %s: make schedule',
            jobname,
            nodename,
            nodeport
        ) as line
    from our_jobs
    where
        not current_setting('cron.use_background_workers')::boolean
        and (
            nodeport <> current_setting('port')::integer
            or not nodename = any(
                array['', 'localhost', '127.0.0.1', '::1', current_setting('cron.host')]
                || string_to_array(
                    replace(current_setting('unix_socket_directories'), ' ', ''), ','
                )
            )
        )
    union all
    select
        8 as place,
        format(
            'Job %s exists for %s and for %s. Remove one: in database %s,'
            || ' select cron.unschedule(%s)',
            our_jobs.jobname,
            our_jobs.username,
            twin.username,
            :'cron_database'::text,
            our_jobs.jobid
        ) as line
    from our_jobs
    inner join our_jobs as twin
        on our_jobs.jobname = twin.jobname and our_jobs.jobid < twin.jobid
    union all
    select
        9 as place,
        format(
            'Job %s is left over from an interrupted make schedule: make schedule',
            jobname
        ) as line
    from our_jobs
    where jobname = :'first_run_job' and not :'is_scheduling'::boolean
    union all
    select
        10 as place,
        format('The last run of job %s failed: %s', jobname, message)
        || case
            when message = 'connection failed'
                then format(
                    '. pg_cron could not connect to %s, port %s, as %s: most likely'
                    || ' pg_hba.conf asks for a password. Set'
                    || ' cron.use_background_workers = on and restart PostgreSQL.'
                    || ' Otherwise let the server''s account connect without a password'
                    || ' (cron.host, pg_hba.conf, .pgpass), then make schedule',
                    coalesce(nullif(nodename, ''), 'the socket'),
                    nodeport,
                    username
                )
            when message like '%statement timeout%'
                then format(
                    '. To remove the limit: alter role %I in database %I'
                    || ' set statement_timeout = 0',
                    username,
                    database
                )
            when message like '%not permitted to log in%'
                then format('. Permit it: alter role %I login', username)
            when message like '%role "%" does not exist%'
                then '. Run make schedule as another user, who then owns the job'
            when message like '%database "%" does not exist%'
                then ': make schedule'
            when message like '%permission denied%'
                then
                    '. Run make schedule as the owner of schema scooters_ops, who then'
                    || ' owns the job'
            when message like '%does not exist%'
                then ': make migrate'
            when message like '%background process%' or message like '%startup timeout%'
                then '. Raise max_worker_processes and restart PostgreSQL'
            else '. Fix what it names; the next run shows whether it helped'
        end as line
    from last_runs
    where status = 'failed'
    union all
    select
        11 as place,
        format(
            'Job %s belongs to a database that was dropped or renamed. Remove it: in'
            || ' database %s, select cron.unschedule(%s)',
            job.jobname,
            :'cron_database'::text,
            job.jobid
        ) as line
    from cron.job as job
    where
        not :'is_scheduling'::boolean
        and starts_with(job.jobname, 'scooters_ops_')
        and not exists (
            select from suffixes
            where suffixes.suffix = substring(job.jobname, '@(.*)$')
        )
    union all
    select
        12 as place,
        format(
            'Passes run for only part of each minute, because statement_timeout of %1$s'
            || ' in database %2$s is %3$s: alter role %4$I in database %5$I'
            || ' set statement_timeout = 0',
            username,
            database,
            statement_timeout,
            username,
            database
        ) as line
    from time_limits
    where
        :'detects_for_a_minute'::boolean
        and statement_timeout ~ '[1-9]'
        and case
            when statement_timeout ~ '^[0-9.]+$' then statement_timeout || 'ms'
            else statement_timeout
        end::interval < interval '1 minute'
)

select
    count(*) > 0 as has_problems,
    coalesce(
        string_agg(
            regexp_replace(line, :'steering', ' ', 'g'), chr(10) order by place, line
        ),
        ''
    ) as problems
from problems
\gset
