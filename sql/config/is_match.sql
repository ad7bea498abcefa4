-- Does a match hold for what happened, once it holds for the mission?
create or replace function scooters_ops.is_match(
    types text[],
    job_types text[],
    point_ids text[],
    calendars text[],
    type text,
    job_type text,
    point_id text,
    at timestamptz,
    attributes jsonb
)
returns boolean
language sql stable parallel safe
begin atomic -- noqa: disable=all
select
    (is_match.types is null or is_match.type = any(is_match.types))
    and (
        is_match.job_types is null
        or coalesce(is_match.job_type = any(is_match.job_types), false)
    )
    and (
        is_match.point_ids is null
        or coalesce(is_match.point_id = any(is_match.point_ids), false)
    )
    and (
        is_match.calendars is null
        or scooters_ops.is_in_calendars(
            is_match.calendars, is_match.at, is_match.attributes
        )
    );
end; -- noqa: enable=all

comment on function scooters_ops.is_match(
    text[], text[], text[], text[], text, text, text, timestamptz, jsonb
) is
'Whether a match that says this of type, job type, point and time (as in match_rules) holds for a notification or interval of this type, job type (null: none) and point at a time.';

revoke execute on function scooters_ops.is_match(
    text[], text[], text[], text[], text, text, text, timestamptz, jsonb
) from public;
grant execute on function scooters_ops.is_match(
    text[], text[], text[], text[], text, text, text, timestamptz, jsonb
) to scooters_ops_analyst, scooters_ops_notifier;
