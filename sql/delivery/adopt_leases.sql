-- How does a notifier of the previous version take over its own leases?
-- It calls this function, and this version calls release_deliveries, which does the
-- same. The next version drops it.
create or replace function scooters_ops.adopt_leases(worker text, kept_ids bigint[])
returns integer
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
select scooters_ops.release_deliveries(worker, kept_ids)
$$;

comment on function scooters_ops.adopt_leases(text, bigint[]) is
'The same as release_deliveries(), for notifiers of the previous version.';

revoke execute on function scooters_ops.adopt_leases(text, bigint[]) from public;
grant execute on function scooters_ops.adopt_leases(text, bigint[])
to scooters_ops_notifier;
