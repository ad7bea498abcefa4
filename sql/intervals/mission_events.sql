-- Which events open and close intervals?
-- Events of the mission as a whole are at no point.
create or replace view scooters_ops.mission_events as
select
    mission_id,
    case when type in ('point_arrived', 'point_completed') then point_id end
        as point_id,
    type,
    occurred_at,
    history_id,
    type in ('mission_completed', 'mission_cancelled') as ends_mission
from scooters_ops.missions_history
where scooters_ops.opens_or_closes_interval(type);

comment on view scooters_ops.mission_events is
'The events that open or close intervals, repeated ones included; of a mission they are ordered by (occurred_at, history_id).';
comment on column scooters_ops.mission_events.mission_id is
'The mission.';
comment on column scooters_ops.mission_events.point_id is
'The point where it happened; null for events of the mission as a whole.';
comment on column scooters_ops.mission_events.type is
'mission_started, point_arrived, point_completed, mission_completed or mission_cancelled.';
comment on column scooters_ops.mission_events.occurred_at is
'When it happened, by the clock of whoever reported it.';
comment on column scooters_ops.mission_events.history_id is
'The row of missions_history.';
comment on column scooters_ops.mission_events.ends_mission is
'Whether it ends the mission.';

grant select on scooters_ops.mission_events to scooters_ops_analyst;
