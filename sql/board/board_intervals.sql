-- Which intervals does this mission have, and is the open one overdue?
-- Plain SQL without settings, so that the planner inlines it like mission_intervals_at
-- and the mission_id reaches the indexes of every table.
create or replace function scooters_ops.board_intervals(
    mission_id text,
    since timestamptz,
    as_of timestamptz
)
returns table (
    type scooters_ops.monitoring_notification_type,
    deadline timestamptz,
    is_overdue boolean,
    intervals jsonb
)
language sql stable
begin atomic -- noqa: disable=all
select
    max(span.type) filter (where span.is_open) as type,
    max(span.deadline) filter (where span.is_open) as deadline,
    bool_or(span.is_overdue) filter (where span.is_open) as is_overdue,
    jsonb_agg(
        jsonb_build_object(
            'point_id', span.point_id,
            'position', point.position,
            'type', span.type,
            'started_at', span.started_at,
            'finished_at', span.finished_at,
            'eta', extract(epoch from span.eta),
            'factor', span.factor,
            'limit', extract(epoch from span.time_limit),
            'deadline', span.deadline,
            'elapsed', extract(epoch from span.elapsed),
            'is_overdue', span.is_overdue
        )
        order by span.started_at, span.finished_at nulls last
    ) as intervals
from scooters_ops.mission_intervals_at(as_of) as span
left join scooters_ops.mission_points as point
    on span.mission_id = point.mission_id and span.point_id = point.point_id
where
    span.mission_id = board_intervals.mission_id
    and coalesce(span.finished_at, 'infinity') > since
group by span.mission_id;
end; -- noqa: enable=all

comment on function scooters_ops.board_intervals(text, timestamptz, timestamptz) is
'The intervals of this mission as of that time: type, deadline and is_overdue of the open one (null: there is none), and all that ended after "since" or are open (JSON array; durations in seconds). No row where there is none.';

revoke execute on function
scooters_ops.board_intervals(text, timestamptz, timestamptz) from public;
