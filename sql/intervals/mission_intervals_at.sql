-- Where was every courier as of a given time, since when, and how long could it last?
create or replace function scooters_ops.mission_intervals_at(as_of timestamptz)
returns setof scooters_ops.mission_interval
language sql stable parallel safe
begin atomic -- noqa: disable=all
select
    -- The mission's own column: a filter on it reaches the indexes of every table.
    mission.mission_id,
    span.performer_id,
    span.point_id,
    span.type,
    span.started_at,
    span.finished_at,
    span.eta,
    span.factor,
    span.time_limit,
    span.deadline,
    span.elapsed,
    span.is_open,
    span.is_overdue,
    span.from_point_id,
    span.rule
from scooters_ops.mission_overview as mission
cross join lateral scooters_ops.mission_intervals_of(mission.mission_id, as_of) as span;
end; -- noqa: enable=all
comment on function scooters_ops.mission_intervals_at(timestamptz) is
'Every interval of every mission as of a given time, from the events up to then; the columns are those of mission_intervals.';

revoke execute on function scooters_ops.mission_intervals_at(timestamptz) from public;
grant execute on function scooters_ops.mission_intervals_at(timestamptz)
to scooters_ops_analyst;

-- An earlier version's function took a list of missions.
do $$
begin
    drop function if exists
    scooters_ops.mission_intervals_of(text[], timestamptz, boolean);
end
$$;
