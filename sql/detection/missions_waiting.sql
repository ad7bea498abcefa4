-- How many missions wait for the next pass to record them?
-- It reads a bounded number of wake-ups, because a storm leaves many. The settings keep
-- the planner to the index: its statistics on wake-ups are always out of date.
create or replace function scooters_ops.missions_waiting()
returns integer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
    return (
        select count(distinct due.mission_id)
        from (
            select wakeup.mission_id
            from scooters_ops.mission_wakeups as wakeup
            where wakeup.due_at <= now()
            order by wakeup.due_at
            limit scooters_ops.counting_limit()
        ) as due
    )::integer;
end
$$;

comment on function scooters_ops.missions_waiting() is
'How many missions have a wake-up that is due, among the first 10,000 such wake-ups.';

revoke execute on function scooters_ops.missions_waiting() from public;
grant execute on function scooters_ops.missions_waiting()
to scooters_ops_analyst, scooters_ops_notifier;
