-- Which missions must the next pass look at, because their history changed?
-- It only appends: no key, no look-up, no "distinct", so that nobody who writes history
-- ever waits for a pass or for another writer. Of the caller it needs no rights.
-- Whoever changes or deletes a mission's start or end, which is a person's work and
-- rare, changes its status with it.
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
            where type in ('mission_completed', 'mission_cancelled')
        );
        edited_ids := reopened_ids || array(
            select mission_id
            from old_rows
            where type = 'mission_started'
        );
        if tg_op = 'UPDATE' then
            edited_ids := edited_ids || array(
                select mission_id
                from new_rows
                where type in ('mission_started', 'mission_completed', 'mission_cancelled')
            );
        end if;
        if edited_ids <> '{}' then
            perform scooters_ops.follow_history(edited_ids, reopened_ids);
        end if;
    end if;
    return null;
end
$$;

comment on function scooters_ops.wake_for_history() is
'Trigger: appends a wake-up, due at once, for each changed event that counts. Where a start or an end was edited or deleted, the mission''s status follows.';

revoke execute on function scooters_ops.wake_for_history() from public;

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
