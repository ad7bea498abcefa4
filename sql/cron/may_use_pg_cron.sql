-- May the current user use pg_cron? The other scripts include this file, in pg_cron's
-- database.
\if :may_use_pg_cron
\else
\warn 'A superuser can allow it in database' :cron_database: :missing_grant
do $$
begin
    raise exception '% may not use pg_cron', current_user;
end
$$;
\endif
