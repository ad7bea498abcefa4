-- Who tells the notifiers that there is something to send? The commit that inserts it,
-- and not a statement that inserted nothing.
create or replace function scooters_ops.wake_notifiers()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from new_rows) then
        notify scooters_ops;
    end if;
    return null;
end
$$;

comment on function scooters_ops.wake_notifiers() is
'Trigger: wakes whoever listens on the channel scooters_ops, if the statement inserted anything.';

revoke execute on function scooters_ops.wake_notifiers() from public;

-- When are the notifiers woken? When notifications were inserted, once per statement.
create or replace trigger wake_notifiers
after insert on scooters_ops.monitoring_notifications
referencing new table as new_rows
for each statement execute function scooters_ops.wake_notifiers();
