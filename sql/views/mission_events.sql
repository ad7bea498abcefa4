-- Which events of a mission count, and in which order?
-- Of one type at one point only the earliest counts: apps repeat themselves. Events of
-- the mission as a whole are at no point. What comes after the first event that ends
-- the mission counts for nothing. Looking only at events up to some moment gives a
-- prefix of this list, so that a view of the past may filter it by occurred_at.
create or replace view scooters_ops.mission_events as
with counting_events as (
    select
        history_id,
        mission_id,
        case when type in ('point_arrived', 'point_completed') then point_id end
            as point_id,
        type,
        occurred_at,
        type in ('mission_completed', 'mission_cancelled') as ends_mission
    from scooters_ops.missions_history
    where scooters_ops.opens_or_closes_interval(type)
),

earliest_events as (
    select distinct on (mission_id, type, point_id) *
    from counting_events
    order by mission_id, type, point_id, occurred_at, history_id
),

ordered_events as (
    select
        *,
        count(*) filter (where ends_mission) over (
            partition by mission_id
            order by occurred_at, history_id
            rows between unbounded preceding and 1 preceding
        ) as endings_before
    from earliest_events
)

select
    mission_id,
    point_id,
    type,
    occurred_at,
    history_id,
    ends_mission,
    max(occurred_at) filter (where ends_mission)
        over (partition by mission_id) as mission_ended_at
from ordered_events
where endings_before < 1;

comment on view scooters_ops.mission_events is
'The events of each mission that count, each once; their order is (occurred_at, history_id).';
comment on column scooters_ops.mission_events.mission_id is
'The mission.';
comment on column scooters_ops.mission_events.point_id is
'The point where it happened; null for events of the mission as a whole.';
comment on column scooters_ops.mission_events.type is
'mission_started, point_arrived, point_completed, mission_completed or mission_cancelled.';
comment on column scooters_ops.mission_events.occurred_at is
'When it happened, by the clock of whoever reported it.';
comment on column scooters_ops.mission_events.history_id is
'The row of missions_history that counts.';
comment on column scooters_ops.mission_events.ends_mission is
'Whether it ends the mission.';
comment on column scooters_ops.mission_events.mission_ended_at is
'When the event that ends the mission occurred; null where there is none.';

grant select on scooters_ops.mission_events to scooters_ops_analyst;
