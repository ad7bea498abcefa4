-- May I use pg_cron? Read by the scripts beside it, in pg_cron's database.
\if :may_use_pg_cron
\else
\warn 'A superuser may allow it, in database' :cron_database: :missing_grant
do $$
begin
    raise exception '% may not use pg_cron', current_user;
end
$$;
\endif
