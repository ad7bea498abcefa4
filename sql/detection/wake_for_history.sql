-- Which missions must the next pass look at because their history changed?
-- It only appends, without a key, a look-up or "distinct", so that a writer of history
-- never waits for a pass or for another writer. The caller needs no rights.
-- When somebody edits or deletes the start or end of a mission, which is rare manual
-- work, the mission's status is updated as well.
create or replace function scooters_ops.wake_for_history()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    edited_ids text[];
    reopened_ids text[];
begin
    if tg_op in ('INSERT', 'UPDATE') then
        insert into scooters_ops.mission_wakeups (mission_id, due_at)
        select mission_id, '-infinity'
        from new_rows
        where scooters_ops.opens_or_closes_interval(type);
    end if;
    if tg_op in ('UPDATE', 'DELETE') then
        insert into scooters_ops.mission_wakeups (mission_id, due_at)
        select mission_id, '-infinity'
        from old_rows
        where scooters_ops.opens_or_closes_interval(type);

        reopened_ids := array(
            select mission_id
            from old_rows
            where type = any(scooters_ops.mission_end_types())
        );
        edited_ids := reopened_ids || array(
            select mission_id
            from old_rows
            where type = any(scooters_ops.mission_start_types())
        );
        if tg_op = 'UPDATE' then
            edited_ids := edited_ids || array(
                select mission_id
                from new_rows
                where
                    type = any(
                        scooters_ops.mission_start_types()
                        || scooters_ops.mission_end_types()
                    )
            );
        end if;
        if edited_ids <> '{}' then
            perform scooters_ops.update_mission_status(edited_ids, reopened_ids);
        end if;
    end if;
    return null;
end
$$;

comment on function scooters_ops.wake_for_history() is
'Trigger: appends a wake-up, due at once, for each changed event that counts. If the start or end of a mission was edited or deleted, updates its status.';

revoke execute on function scooters_ops.wake_for_history() from public;

-- Which changes wake a mission? Each insert, update and delete of its history.
-- Three triggers, because transition tables allow only one kind of statement each.
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
