-- Which missions must the next pass look at, because their plan changed?
-- For any table of the plan: missions, mission_points, mission_jobs. It only appends.
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
'Trigger: appends a wake-up, due at once, for each mission whose plan changed.';

revoke execute on function scooters_ops.wake_for_plan() from public;
