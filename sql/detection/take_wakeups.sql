-- Which wake-ups does a pass take? All of the missions that it is about to record.
-- The missions must be evaluated in a later statement: its snapshot then sees at least
-- the changes that caused these wake-ups.
do $$
begin
    -- An earlier version returned nothing, which "create or replace" cannot change.
    if exists (
        select
        from pg_catalog.pg_proc
        where
            oid = to_regprocedure('scooters_ops.take_wakeups(text[], timestamptz)')
            and prorettype = 'void'::regtype
    )
    then
        drop function scooters_ops.take_wakeups(text[], timestamptz);
    end if;
end
$$;

create or replace function scooters_ops.take_wakeups(
    mission_ids text[],
    as_of timestamptz,
    out woken_at timestamptz[]
)
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
    with taken as (
        delete from scooters_ops.mission_wakeups as wakeup
        using unnest(mission_ids) as due_mission (mission_id)
        where
            wakeup.due_at <= as_of
            and wakeup.mission_id = due_mission.mission_id
        returning
            wakeup.mission_id,
            -- An event to come counts from the time that it carries.
            greatest(wakeup.woken_at, wakeup.due_at) as woken_at
    ),

    waited as (
        select
            taken.mission_id,
            min(taken.woken_at) as woken_at
        from taken
        group by taken.mission_id
    )

    select array_agg(waited.woken_at order by asked.n)
    into take_wakeups.woken_at
    from unnest(mission_ids) with ordinality as asked (mission_id, n)
    left join waited using (mission_id);

    delete from scooters_ops.mission_wakeups as later
    where
        later.due_at <> '-infinity'
        and later.mission_id = any(mission_ids);
end
$$;

comment on function scooters_ops.take_wakeups(text[], timestamptz) is
'Deletes the wake-ups of these missions: those that are due, and those for events still to come, which record_intervals() leaves again. Returns for each mission, in their order, since when it had waited; null: it had not.';

revoke execute on function scooters_ops.take_wakeups(text[], timestamptz) from public;
