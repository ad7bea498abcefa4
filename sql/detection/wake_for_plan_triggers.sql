-- When does a change of the plan wake a mission? At every insert, update and delete of
-- missions, mission_points and mission_jobs.

create or replace trigger wake_for_inserted_missions
after insert on scooters_ops.missions
referencing new table as new_rows
for each statement execute function scooters_ops.wake_for_plan();

create or replace trigger wake_for_updated_missions
after update on scooters_ops.missions
referencing old table as old_rows new table as new_rows
for each statement execute function scooters_ops.wake_for_plan();

create or replace trigger wake_for_deleted_missions
after delete on scooters_ops.missions
referencing old table as old_rows
for each statement execute function scooters_ops.wake_for_plan();

create or replace trigger wake_for_inserted_points
after insert on scooters_ops.mission_points
referencing new table as new_rows
for each statement execute function scooters_ops.wake_for_plan();

create or replace trigger wake_for_updated_points
after update on scooters_ops.mission_points
referencing old table as old_rows new table as new_rows
for each statement execute function scooters_ops.wake_for_plan();

create or replace trigger wake_for_deleted_points
after delete on scooters_ops.mission_points
referencing old table as old_rows
for each statement execute function scooters_ops.wake_for_plan();

create or replace trigger wake_for_inserted_jobs
after insert on scooters_ops.mission_jobs
referencing new table as new_rows
for each statement execute function scooters_ops.wake_for_plan();

create or replace trigger wake_for_updated_jobs
after update on scooters_ops.mission_jobs
referencing old table as old_rows new table as new_rows
for each statement execute function scooters_ops.wake_for_plan();

create or replace trigger wake_for_deleted_jobs
after delete on scooters_ops.mission_jobs
referencing old table as old_rows
for each statement execute function scooters_ops.wake_for_plan();
