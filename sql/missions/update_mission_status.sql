-- Which status do these missions have by their history?
-- Their earliest end says completed or cancelled. Without one, a mission is active once
-- it has started. But one that somebody completed or cancelled by hand stays so, unless
-- it is among reopened_ids: its history lost an end. Where no event is left, history
-- says nothing, and the status stays.
-- The missions are locked first: of two that record an end at once, the later one sees
-- both ends.
create or replace function scooters_ops.follow_history(
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
    set status = told.status
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
                bool_or(event.type = 'mission_started') as is_started,
                count(*) as events
            from scooters_ops.mission_events as event
            where event.mission_id = known.mission_id
        ) as history
        where known.mission_id = any(mission_ids)
    ) as told
    where
        mission.mission_id = told.mission_id
        and mission.status <> told.status;
end
$$;

comment on function scooters_ops.follow_history(text[], text[]) is
'Makes the status of these missions say what their history says: completed or cancelled by the earliest end, else active once started, else created. A mission that is over without an end in history stays so, unless it is among reopened_ids; one without any history stays as it is.';

revoke execute on function scooters_ops.follow_history(text[], text[]) from public;
