-- Which missions must the next pass look at because their plan changed?
-- Serves each table of the plan: missions, mission_points, mission_jobs. It only
-- appends.
create or replace function scooters_ops.wake_for_plan()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op in ('INSERT', 'UPDATE') then
        insert into scooters_ops.mission_wakeups (mission_id, due_at)
        select mission_id, '-infinity'
        from new_rows;
    end if;
    if tg_op in ('UPDATE', 'DELETE') then
        insert into scooters_ops.mission_wakeups (mission_id, due_at)
        select mission_id, '-infinity'
        from old_rows;
    end if;
    return null;
end
$$;

comment on function scooters_ops.wake_for_plan() is
'Trigger: appends a wake-up, due at once, for each changed row of the plan.';

revoke execute on function scooters_ops.wake_for_plan() from public;

-- Which changes wake a mission? Each insert, update and delete of its plan.

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
