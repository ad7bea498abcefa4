-- Which cluster of PL/Proxy is this shard?
-- One each, because a cluster has one user and one password.
create or replace function scooters_router.cluster_of(shard integer)
returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
select 'proxy_' || shard
$$;

comment on function scooters_router.cluster_of(integer) is
'The server of PL/Proxy that is this shard.';

revoke execute on function scooters_router.cluster_of(integer) from public;
