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

select
    format('scooters_ops_detect@%s', current_database()) as detect_job,
    format('scooters_ops_prune@%s', current_database()) as prune_job,
    format('scooters_ops_prune_runs@%s', current_database()) as prune_runs_job,
    current_database() as our_database,
    current_setting('cron.database_name') as cron_database
\gset
