-- How do notifiers learn of new notifications?
-- The commit that inserts them wakes the notifiers; a statement that inserts nothing
-- does not.
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
'Trigger: notifies the channel scooters_ops if the statement inserted rows.';

revoke execute on function scooters_ops.wake_notifiers() from public;

-- Once for each statement that inserts notifications.
create or replace trigger wake_notifiers
after insert on scooters_ops.monitoring_notifications
referencing new table as new_rows
for each statement execute function scooters_ops.wake_notifiers();
