-- What do the scripts beside it depend on? Read by them after each connect.
-- Whoever runs them may be a superuser, and anybody may have made functions in public:
-- names are looked up in pg_catalog alone. A name of a database may hold any character,
-- whatever encoding the role is set to. pg_cron shows each user the jobs of its own by
-- row security.
\encoding UTF8
set search_path = pg_catalog, pg_temp;
set client_min_messages = warning;
set row_security = on;
set standard_conforming_strings = on;
set default_transaction_isolation = 'read committed';
set default_transaction_read_only = off;
set datestyle = 'ISO';
set intervalstyle = 'postgres';
