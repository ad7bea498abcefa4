-- Is this a config, and what is it with the defaults filled in?
-- A shard validates it: the router has no copy of the schema.
create or replace function scooters_router.checked_config(
    in_shard integer,
    config jsonb
)
returns jsonb
language plproxy
as $$
cluster scooters_router.cluster_of(in_shard);
run on 0;
select scooters_ops.validate_json($2, scooters_ops.config_schema());
$$;

comment on function scooters_router.checked_config(integer, jsonb) is
'The config with the defaults filled in, as this shard validates it. SQLSTATE 22023: names the path of the first bad key.';

revoke execute on function
scooters_router.checked_config(integer, jsonb) from public;
