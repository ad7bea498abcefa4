-- Which missions must the next pass look at, because their history changed?
-- It only appends: no key, no look-up, no "distinct", so that nobody who writes history
-- ever waits for a pass or for another writer. Of the caller it needs no rights.
create or replace function scooters_ops.wake_for_history()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
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
    end if;
    return null;
end
$$;

comment on function scooters_ops.wake_for_history() is
'Trigger: appends a wake-up, due at once, for each changed event that counts.';

revoke execute on function scooters_ops.wake_for_history() from public;
