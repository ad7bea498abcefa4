-- Why is this interval no longer open?
-- finished_at is null where the view no longer shows the interval at all.
create or replace function scooters_ops.resolution_of(
    mission_id text,
    finished_at timestamptz
)
returns text
language sql stable
begin atomic -- noqa: disable=all
select
    case
        when finished_at is not null and is_end.of_closing_event then 'ended'
        when finished_at is not null then 'moved_on'
        when is_end.of_status and not is_end.of_any_event then 'ended'
        else 'withdrawn'
    end
from (
    select
        (
            select event.ends_mission
            from scooters_ops.mission_events as event
            where
                event.mission_id = resolution_of.mission_id
                and event.occurred_at = resolution_of.finished_at
                -- A repeated event closes nothing.
                and not exists (
                    select
                    from scooters_ops.mission_events as earlier
                    where
                        earlier.mission_id = event.mission_id
                        and earlier.type = event.type
                        and earlier.point_id is not distinct from event.point_id
                        and earlier.occurred_at < event.occurred_at
                )
            order by event.history_id
            limit 1
        ) as of_closing_event,
        exists (
            select
            from scooters_ops.missions as mission
            where
                mission.mission_id = resolution_of.mission_id
                and mission.status in ('completed', 'cancelled')
        ) as of_status,
        exists (
            select
            from scooters_ops.mission_events as event
            where
                event.mission_id = resolution_of.mission_id
                and event.ends_mission
        ) as of_any_event
) as is_end;
end; -- noqa: enable=all

comment on function scooters_ops.resolution_of(text, timestamptz) is
'moved_on: the next event closed the interval; ended: the mission is over; withdrawn (finished_at is null): late or corrected events say that the interval never was.';

revoke execute on function scooters_ops.resolution_of(text, timestamptz) from public;
