-- Which jobs are ours, and where does pg_cron live? Read by the scripts beside it. Sets
-- the psql variables detect_job, prune_job, prune_runs_job, our_database and
-- cron_database. Job names hold the database's name: one pg_cron serves a whole
-- cluster.
do $$
begin
    if to_regclass('scooters_ops.configs') is null then
        raise exception 'database "%" was never migrated: make migrate', current_database();
    end if;
    if current_setting('cron.database_name', true) is null then
        raise exception 'pg_cron is not loaded by this server'
        using hint = 'Set shared_preload_libraries = ''pg_cron'' and cron.database_name, then restart PostgreSQL. Debian''s package is postgresql-NN-cron.';
    end if;
end
$$;

-- Before pg_cron 1.5 a job's name has at most 63 bytes.
with names as (
    select
        case
            when octet_length(current_database()) <= 39 then current_database()::text
            else left(current_database(), 6) || '_' || md5(current_database())
        end as suffix
)

select
    'scooters_ops_detect@' || names.suffix as detect_job,
    'scooters_ops_prune@' || names.suffix as prune_job,
    'scooters_ops_prune_runs@' || names.suffix as prune_runs_job,
    current_database() as our_database,
    current_setting('cron.database_name') as cron_database
from names
\gset
