-- Which missions are due, those that have waited longest first?
-- The settings keep the planner to one plan that uses the index: its statistics on
-- wake-ups are always out of date, and planning takes longer than finding that nothing
-- is due.
create or replace function scooters_ops.due_missions(as_of timestamptz)
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashagg = off
as $$
begin
    -- Most passes end here.
    if not exists (select from scooters_ops.mission_wakeups where due_at <= as_of) then
        return '{}'::text[];
    end if;
    return (
        select coalesce(array_agg(due.mission_id order by due.due_at, due.mission_id), '{}')
        from (
            select
                mission_id,
                min(due_at) as due_at
            from scooters_ops.mission_wakeups
            where due_at <= as_of
            group by mission_id
        ) as due
    );
end
$$;

comment on function scooters_ops.due_missions(timestamptz) is
'The mission_ids of the missions with a wake-up that is due at that time, in the order in which they fell due.';

revoke execute on function scooters_ops.due_missions(timestamptz) from public;
