-- Which status do these missions have according to their history?
-- The earliest event that ends a mission makes it completed or cancelled. Without one,
-- a mission that has started is active. A mission that somebody completed or cancelled
-- by hand stays so, unless it is in reopened_ids: then an end was removed from its
-- history. A mission without events keeps its status.
-- The missions are locked first: of two sessions that record an end at the same time,
-- the later one sees both.
create or replace function scooters_ops.update_mission_status(
    mission_ids text[],
    reopened_ids text[] default '{}'
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform
    from scooters_ops.missions
    where mission_id = any(mission_ids)
    order by mission_id
    for no key update;

    update scooters_ops.missions as mission
    set status = derived.status
    from (
        select
            known.mission_id,
            case
                when history.events = 0 then known.status
                when history.ended_as is not null then history.ended_as
                when
                    known.status in ('completed', 'cancelled')
                    and known.mission_id <> all(reopened_ids)
                    then known.status
                when history.is_started then 'active'
                else 'created'
            end as status
        from scooters_ops.missions as known
        cross join lateral (
            select
                (
                    array_agg(
                        replace(event.type, 'mission_', '')
                        order by event.occurred_at, event.history_id
                    ) filter (where event.ends_mission)
                )[1] as ended_as,
                bool_or(event.type = any(scooters_ops.mission_start_types())) as is_started,
                count(*) as events
            from scooters_ops.mission_events as event
            where event.mission_id = known.mission_id
        ) as history
        where known.mission_id = any(mission_ids)
    ) as derived
    where
        mission.mission_id = derived.mission_id
        and mission.status <> derived.status;
end
$$;

comment on function scooters_ops.update_mission_status(text[], text[]) is
'Sets the status of these missions from their history: completed or cancelled by the earliest event that ends it, otherwise active if it has started, otherwise created. A mission that is over without such an event stays so, unless it is in reopened_ids. A mission without events keeps its status.';

revoke execute on function scooters_ops.update_mission_status(text[], text[])
from public;
