-- Which events open and close intervals?
-- No point has an empty point_id: an event at one counts for nothing, as record_event
-- refuses it. A recorded interval that begins at '' began at the start of the mission.
create or replace view scooters_ops.mission_events as
select
    mission_id,
    case when type = any(scooters_ops.point_event_types()) then point_id end
        as point_id,
    type,
    occurred_at,
    history_id,
    type = any(scooters_ops.mission_end_types()) as ends_mission,
    scooters_ops.interval_type_opened_by(type) as opens
from scooters_ops.missions_history
where
    scooters_ops.opens_or_closes_interval(type)
    and (point_id = '' and type = any(scooters_ops.point_event_types())) is not true;

comment on view scooters_ops.mission_events is
'The events that open or close intervals, repeated ones included. Order those of a mission by (occurred_at, history_id).';
comment on column scooters_ops.mission_events.mission_id is
'The mission.';
comment on column scooters_ops.mission_events.point_id is
'The point where it happened; null for events of the mission as a whole.';
comment on column scooters_ops.mission_events.type is
'mission_started, point_arrived, point_completed, mission_completed or mission_cancelled.';
comment on column scooters_ops.mission_events.occurred_at is
'When it happened, by the clock of the phone or service that reported it.';
comment on column scooters_ops.mission_events.history_id is
'The row of missions_history.';
comment on column scooters_ops.mission_events.ends_mission is
'Whether it ends the mission.';
comment on column scooters_ops.mission_events.opens is
'The type of the interval that it opens: timeout_in_point or timeout_between_points; null: none.';

grant select on scooters_ops.mission_events to scooters_ops_analyst;
