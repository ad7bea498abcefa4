-- Which migrations does this database have?
create or replace function scooters_ops.applied_migrations()
returns setof text
language sql stable
security definer
set search_path = pg_catalog, pg_temp
as $$
select migration_id
from scooters_ops._yoyo_migration
order by migration_id
$$;

comment on function scooters_ops.applied_migrations() is
'The names of the migrations that were applied to this database, in order.';

revoke execute on function scooters_ops.applied_migrations() from public;
grant execute on function scooters_ops.applied_migrations()
to scooters_ops_writer, scooters_ops_notifier, scooters_ops_analyst;
