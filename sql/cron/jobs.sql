-- Which jobs are ours, and where does pg_cron live? Read by the scripts beside it.
-- Starts in our database, ends in pg_cron's, and sets psql variables on the way. Job
-- names hold the database's name: one pg_cron serves a whole cluster.
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
        raise exception 'pg_cron is to live in database "%" (cron.database_name), and there is no such database', current_setting('cron.database_name')
        using hint = 'Create it, or set cron.database_name to another one and restart PostgreSQL.';
    end if;
exception
    when insufficient_privilege then
        raise exception '% may not read pg_cron''s settings', current_user
        using hint = format('As a superuser: grant pg_read_all_settings to %I', current_user);
end
$$;

-- Before pg_cron 1.5 a job's name has at most 63 bytes: a long name of a database
-- gives a short one.
select
    current_database() as our_database,
    current_setting('cron.database_name') as cron_database,
    case
        when octet_length(current_database()::text) <= 39 then current_database()::text
        else left(current_database()::text, 6) || '_' || md5(current_database()::text)
    end as suffix
\gset
select
    'scooters_ops_detect@' || :'suffix' as detect_job,
    'scooters_ops_prune@' || :'suffix' as prune_job,
    'scooters_ops_prune_runs@' || :'suffix' as prune_runs_job,
    'scooters_ops_first_run@' || :'suffix' as first_run_job
\gset

-- What the jobs are made of, and whether passes run.
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
    coalesce(
        'the last pass started '
        || date_trunc('second', now() - status.last_pass_at)::text || ' ago',
        'there never was a pass'
    ) as last_pass
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

-- Whoever may use pg_cron writes names and messages that are shown to others:
-- characters that steer a terminal, line breaks among them, become spaces (as in
-- notifier/text.py).
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
