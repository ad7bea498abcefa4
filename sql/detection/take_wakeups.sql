-- Which wake-ups does a pass take? All of the missions that it is about to record.
-- The missions must be evaluated in a later statement: its snapshot then sees at least
-- the changes that caused these wake-ups.
create or replace function scooters_ops.take_wakeups(
    mission_ids text[],
    as_of timestamptz
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_nestloop = off
set enable_seqscan = off
as $$
begin
    -- The wake-ups that are due are found by due_at, the others by mission_id. The first
    -- are joined, because "= any" would compare each of them with the whole list. The
    -- condition of the second matches only the index on mission_id.
    delete from scooters_ops.mission_wakeups as wakeup
    using unnest(mission_ids) as due_mission (mission_id)
    where
        wakeup.due_at <= as_of
        and wakeup.mission_id = due_mission.mission_id;

    delete from scooters_ops.mission_wakeups
    where
        due_at <> '-infinity'
        and mission_id = any(mission_ids);
end
$$;

comment on function scooters_ops.take_wakeups(text[], timestamptz) is
'Deletes the wake-ups of these missions: those that are due, and those for events still to come, which record_intervals() leaves again.';

revoke execute on function scooters_ops.take_wakeups(text[], timestamptz) from public;
