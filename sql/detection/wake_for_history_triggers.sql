-- When does a change of history wake a mission? At every insert, update and delete.
-- A trigger with transition tables serves one kind of statement, hence three of them.
create or replace trigger wake_for_inserted_history
after insert on scooters_ops.missions_history
referencing new table as new_rows
for each statement execute function scooters_ops.wake_for_history();

create or replace trigger wake_for_updated_history
after update on scooters_ops.missions_history
referencing old table as old_rows new table as new_rows
for each statement execute function scooters_ops.wake_for_history();

create or replace trigger wake_for_deleted_history
after delete on scooters_ops.missions_history
referencing old table as old_rows
for each statement execute function scooters_ops.wake_for_history();
