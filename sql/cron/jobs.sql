-- Which jobs are ours, and in which database is pg_cron? The other scripts include this
-- file. It starts in our database, ends in pg_cron's, and sets psql variables.
-- Job names contain the database's name: one pg_cron serves all databases of a server.
\set SHOW_CONTEXT never
\ir session.sql
do $$
begin
    if to_regclass('scooters_ops.detection_status') is null then
        raise exception 'database "%" was never migrated: make migrate', current_database();
    end if;
    if current_setting('cron.database_name', true) is null then
        raise exception 'pg_cron is not loaded by this server'
        using hint = 'Set shared_preload_libraries = ''pg_cron'' and cron.database_name, then restart PostgreSQL. Debian''s package is postgresql-NN-cron.';
    end if;
    if not exists (
        select from pg_database where datname = current_setting('cron.database_name')
    ) then
        raise exception 'cron.database_name is "%", and there is no such database', current_setting('cron.database_name')
        using hint = 'Create it, or set cron.database_name to another database and restart PostgreSQL.';
    end if;
exception
    when insufficient_privilege then
        raise exception '% may not read pg_cron''s settings', current_user
        using hint = format('As a superuser: grant pg_read_all_settings to %I', current_user);
end
$$;

-- How a database's name ends the names of its jobs, as an expression over pg_database:
-- before pg_cron 1.5 a job's name has at most 63 bytes, so a long name is shortened.
select $expression$
    case
        when octet_length(datname::text) <= 39 then datname::text
        else left(datname::text, 6) || '_' || md5(datname::text)
    end
$expression$ as job_suffix
\gset
select
    datname as our_database,
    current_setting('cron.database_name') as cron_database,
    'scooters_ops_detect@' || :job_suffix as detect_job,
    'scooters_ops_prune@' || :job_suffix as prune_job,
    'scooters_ops_prune_runs@' || :job_suffix as prune_runs_job,
    'scooters_ops_first_run@' || :job_suffix as first_run_job
from pg_database
where datname = current_database()
\gset
select array[:'detect_job', :'prune_job', :'prune_runs_job', :'first_run_job'] as jobs
\gset

-- The settings of the jobs, and whether passes run.
select
    in_force.config is not null as has_config,
    coalesce(in_force.config -> 'detection' ->> 'schedule', '') as pass_schedule,
    coalesce(in_force.config -> 'retention' ->> 'schedule', '') as prune_schedule,
    coalesce(
        in_force.config -> 'retention' ->> 'cron_runs_seconds', '0'
    ) as cron_runs_seconds,
    status.is_enabled,
    status.is_stalled,
    status.last_pass_at is not null and not status.is_stalled as is_passing,
    format(
        'Detection has STOPPED: %s.',
        coalesce(
            'the last pass started '
            || date_trunc('second', now() - status.last_pass_at)::text || ' ago',
            'there never was a pass'
        )
    ) as stalled_message
from scooters_ops.detection_status as status
left join scooters_ops.config_in_force as in_force on true
\gset

\connect :"cron_database"
\ir session.sql
select
    :'our_database' = :'cron_database'
    or not exists (
        select from pg_proc
        where
            pronamespace = to_regnamespace('cron')
            and proname = 'schedule_in_database'
            and not has_function_privilege(oid, 'execute')
    ) as may_call
\gset
select
    count(*) > 0 as has_pg_cron,
    coalesce(bool_and(has_schema_privilege(nspname, 'usage')), true) as may_use_pg_cron,
    coalesce(bool_and(has_schema_privilege(nspname, 'usage')), true)
    and :'may_call'::boolean as may_schedule,
    format('grant usage on schema cron to %I', current_user)
    || case
        when :'may_call'::boolean then ''
        else format(
            '; grant execute on function cron.schedule_in_database to %I',
            current_user
        )
    end as missing_grant
from pg_namespace
where
    nspname = 'cron'
    and 'pg_cron' in (select pg_extension.extname from pg_extension)
\gset

-- Every user of pg_cron chooses names and messages that others see. Characters that
-- control a terminal, line breaks included, become spaces (as in notifier/text.py).
select
    case
        when current_setting('server_encoding') = 'UTF8'
            then
                E'[\\u0001-\\u001f\\u007f-\\u009f\\u061c\\u180e\\u200b'
                || E'\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff'
                || E'\\ufff9-\\ufffb\\U000e0000-\\U000e007f]'
        else E'[\\u0001-\\u001f\\u007f]'
    end as steering
\gset
