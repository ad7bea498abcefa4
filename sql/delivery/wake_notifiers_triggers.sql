-- When are the notifiers woken? When notifications were inserted, once per statement.
create or replace trigger wake_notifiers
after insert on scooters_ops.monitoring_notifications
referencing new table as new_rows
for each statement execute function scooters_ops.wake_notifiers();
