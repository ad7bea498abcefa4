-- Which settings do the other scripts rely on? They include it after each \connect.
-- A superuser may run them, and any user may have created functions in public, so names
-- are looked up in pg_catalog only. A database name may contain any character, whatever
-- client encoding the role has. Row security makes pg_cron show users their own jobs.
\encoding UTF8
set search_path = pg_catalog, pg_temp;
set client_min_messages = warning;
set row_security = on;
set standard_conforming_strings = on;
set default_transaction_isolation = 'read committed';
set default_transaction_read_only = off;
set datestyle = 'ISO';
set intervalstyle = 'postgres';
