-- What does the board say about an interval?
-- Plain SQL, so that the planner inlines it. It returns text (json): whoever builds a
-- large answer from it converts that once, instead of copying each part several times.
create or replace function scooters_ops.board_interval(
    type scooters_ops.monitoring_notification_type,
    point_id text,
    point_position integer,
    started_at timestamptz,
    finished_at timestamptz,
    eta interval,
    factor numeric,
    rule text,
    time_limit interval,
    deadline timestamptz,
    as_of timestamptz
)
returns json
language sql stable
begin atomic -- noqa: disable=all
select json_build_object(
    'point_id', point_id,
    'position', point_position,
    'type', type,
    'started_at', started_at,
    'finished_at', finished_at,
    'eta', extract(epoch from eta),
    'factor', factor,
    'rule', rule,
    'limit', extract(epoch from time_limit),
    'deadline', deadline,
    'elapsed',
    extract(
        epoch from least(
            coalesce(finished_at, greatest(as_of, started_at)),
            started_at + make_interval(secs => scooters_ops.longest_seconds())
        ) - started_at
    ),
    'is_overdue', coalesce(coalesce(finished_at, as_of) > deadline, false)
);
end; -- noqa: enable=all

comment on function scooters_ops.board_interval(
    scooters_ops.monitoring_notification_type,
    text,
    integer,
    timestamptz,
    timestamptz,
    interval,
    numeric,
    text,
    interval,
    timestamptz,
    timestamptz
) is
'An interval as of that time, as the board shows it (JSON object; durations in seconds).';

revoke execute on function scooters_ops.board_interval(
    scooters_ops.monitoring_notification_type,
    text,
    integer,
    timestamptz,
    timestamptz,
    interval,
    numeric,
    text,
    interval,
    timestamptz,
    timestamptz
) from public;
