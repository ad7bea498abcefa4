-- Which missions must be looked at by now, those that have waited longest first?
-- The planner is kept from reading the whole table: what it knows of wake-ups is
-- always out of date, and few of them are due. One plan serves every moment, since
-- planning takes longer than finding that nothing is due; and that plan takes a third
-- of the table for due, hence no hash table, which would be made for so many.
create or replace function scooters_ops.due_missions(as_of timestamptz)
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashagg = off
as $$
begin
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
'Identifiers of the missions with a wake-up due at that moment, in the order in which they fell due.';

revoke execute on function scooters_ops.due_missions(timestamptz) from public;
