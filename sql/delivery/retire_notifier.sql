-- How does a notifier say that it ends?
create or replace function scooters_ops.retire_notifier(worker text)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
delete from scooters_ops.notifiers
where name = retire_notifier.worker
$$;

comment on function scooters_ops.retire_notifier(text) is
'Says that this notifier ends of its own accord; nobody misses it.';

revoke execute on function scooters_ops.retire_notifier(text) from public;
grant execute on function scooters_ops.retire_notifier(text)
to scooters_ops_notifier;
