-- Is this error what a shard answers? Otherwise the shard is away.
-- PL/Proxy marks what the shard said. A server says last that it shuts down.
create or replace function scooters_router.is_answer(code text, message text)
returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
select message ~ 'REMOTE ERROR: ' and code not in ('57P01', '57P02', '57P03')
$$;

comment on function scooters_router.is_answer(text, text) is
'Whether an error that PL/Proxy raised is the answer of a shard: false if the shard cannot be asked.';

revoke execute on function scooters_router.is_answer(text, text) from public;
