-- How do messages call this shard?
create or replace function scooters_router.shard_name(number integer)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select known.name from scooters_router.shards as known where known.shard = number
$$;

comment on function scooters_router.shard_name(integer) is
'The name of the shard with this number.';

revoke execute on function scooters_router.shard_name(integer) from public;
