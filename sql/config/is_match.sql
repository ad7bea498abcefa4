-- Does a match hold for what happened, once it holds for the mission?
-- By the clock on the wall: of a time that comes twice both hours count, and a time
-- that the clock leaps over never comes. Counted from the calendar's start, the times
-- that it covers are the first of the day on which it begins, also where it crosses
-- midnight.
create or replace function scooters_ops.is_match(
    types text[],
    job_types text[],
    point_ids text[],
    from_time time,
    span interval,
    days smallint[],
    time_zone text,
    type text,
    job_type text,
    point_id text,
    at timestamptz
)
returns boolean
language sql stable parallel safe
return (is_match.types is null or is_match.type = any(is_match.types))
and (is_match.job_types is null or is_match.job_type = any(is_match.job_types))
and (is_match.point_ids is null or is_match.point_id = any(is_match.point_ids))
and (
    is_match.from_time is null
    or (
        (is_match.at at time zone is_match.time_zone - is_match.from_time)::time
        < is_match.span
        and (
            is_match.days is null
            or date_part(
                'isodow',
                is_match.at at time zone is_match.time_zone - is_match.from_time
            ) = any(is_match.days)
        )
    )
);

comment on function scooters_ops.is_match(
    text[],
    text[],
    text[],
    time,
    interval,
    smallint[],
    text,
    text,
    text,
    text,
    timestamptz
) is
'Whether a match that says this of types, job types, points and a calendar (as mission_matches() returns it) holds for a notification or interval of this type, job type (null: none) and point at a time.';

revoke execute on function scooters_ops.is_match(
    text[],
    text[],
    text[],
    time,
    interval,
    smallint[],
    text,
    text,
    text,
    text,
    timestamptz
) from public;
grant execute on function scooters_ops.is_match(
    text[],
    text[],
    text[],
    time,
    interval,
    smallint[],
    text,
    text,
    text,
    text,
    timestamptz
) to scooters_ops_analyst, scooters_ops_notifier;
