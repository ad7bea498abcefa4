-- Which types of event count, and what does each of them mean?
-- The rest of sql/ takes these names from here. They are lists rather than predicates,
-- so that the planner sees constants, for which it has statistics.

create or replace function scooters_ops.mission_start_types()
returns text[]
language sql immutable parallel safe
return '{mission_started}'::text[];

comment on function scooters_ops.mission_start_types() is
'The event types that start a mission. Such an event has no point.';

revoke execute on function scooters_ops.mission_start_types() from public;
grant execute on function scooters_ops.mission_start_types()
to scooters_ops_analyst, scooters_ops_writer;

create or replace function scooters_ops.mission_end_types()
returns text[]
language sql immutable parallel safe
return '{mission_completed, mission_cancelled}'::text[];

comment on function scooters_ops.mission_end_types() is
'The event types that end a mission, each named mission_ and the status that the mission then has. Such an event has no point.';

revoke execute on function scooters_ops.mission_end_types() from public;
grant execute on function scooters_ops.mission_end_types()
to scooters_ops_analyst, scooters_ops_writer;

create or replace function scooters_ops.point_event_types()
returns text[]
language sql immutable parallel safe
return '{point_arrived, point_completed}'::text[];

comment on function scooters_ops.point_event_types() is
'The event types that happen at a point.';

revoke execute on function scooters_ops.point_event_types() from public;
grant execute on function scooters_ops.point_event_types()
to scooters_ops_analyst, scooters_ops_writer;

create or replace function scooters_ops.opens_or_closes_interval(type text)
returns boolean
language sql immutable parallel safe
return type = any(
    scooters_ops.mission_start_types()
    || scooters_ops.point_event_types()
    || scooters_ops.mission_end_types()
);

comment on function scooters_ops.opens_or_closes_interval(text) is
'Whether events of this type count: they open or close an interval. The history may hold other types too.';

revoke execute on function scooters_ops.opens_or_closes_interval(text) from public;
grant execute on function scooters_ops.opens_or_closes_interval(text)
to scooters_ops_analyst, scooters_ops_writer;

create or replace function scooters_ops.interval_type_opened_by(event_type text)
returns scooters_ops.monitoring_notification_type
language sql immutable parallel safe
return case
    when event_type = 'point_arrived'
        then 'timeout_in_point'::scooters_ops.monitoring_notification_type
    when
        event_type = any(scooters_ops.mission_start_types())
        or event_type = any(scooters_ops.point_event_types())
        then 'timeout_between_points'::scooters_ops.monitoring_notification_type
end;

comment on function scooters_ops.interval_type_opened_by(text) is
'The type of interval that an event of this type opens: timeout_in_point or timeout_between_points; null: none.';

revoke execute on function scooters_ops.interval_type_opened_by(text) from public;
grant execute on function scooters_ops.interval_type_opened_by(text)
to scooters_ops_analyst, scooters_ops_writer;
