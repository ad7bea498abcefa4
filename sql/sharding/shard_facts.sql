-- Of which version is a shard, and which config has it?
create or replace function scooters_router.shard_facts(in_shard integer)
returns jsonb
language plproxy
as $$
cluster scooters_router.cluster_of(in_shard);
run on 0;
select
    jsonb_build_object(
        'migrations', array(select scooters_ops.applied_migrations()),
        'config', (select in_force.config from scooters_ops.config_in_force as in_force)
    );
$$;

comment on function scooters_router.shard_facts(integer) is
'What one shard says of itself (JSON): migrations, those that it has, and config, the one in force.';

revoke execute on function scooters_router.shard_facts(integer) from public;
