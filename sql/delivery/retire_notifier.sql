-- How does a notifier report that it stops?
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
'Removes this notifier from notifier_status, because it stops as intended.';

revoke execute on function scooters_ops.retire_notifier(text) from public;
grant execute on function scooters_ops.retire_notifier(text)
to scooters_ops_notifier;
