-- Which migrations does this router's version know?
-- Those that were applied to the shards when the router was made. No shard is asked, so
-- that programs start while one is away.
create table if not exists scooters_router.applied_migrations (
    migration_id text collate "C" not null,
    constraint applied_migrations_pkey primary key (migration_id)
);

comment on table scooters_router.applied_migrations is
'The migrations of the version that the router was made by.';

create or replace function scooters_ops.applied_migrations()
returns setof text
language sql stable
security definer
set search_path = pg_catalog, pg_temp
as $$
select known.migration_id
from scooters_router.applied_migrations as known
order by known.migration_id
$$;
