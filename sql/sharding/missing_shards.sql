-- Which shards give no answer now?
create or replace function scooters_router.missing_shards()
returns text[]
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    asked record;
    missing text[] := '{}';
begin
    for asked in
        select
            known.shard,
            known.name
        from scooters_router.shards as known
        order by known.shard
    loop
        begin
            perform scooters_router.applied_migrations(asked.shard);
        exception when others then
            missing := missing || asked.name;
        end;
    end loop;
    return missing;
end
$$;

comment on function scooters_router.missing_shards() is
'The names of the shards that give no answer.';

revoke execute on function scooters_router.missing_shards() from public;
