-- Who tells the notifiers that there is something to send? The commit that inserts it.
create or replace function scooters_ops.wake_notifiers()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    notify scooters_ops;
    return null;
end
$$;

comment on function scooters_ops.wake_notifiers() is
'Trigger: wakes whoever listens on the channel scooters_ops.';

revoke execute on function scooters_ops.wake_notifiers() from public;
