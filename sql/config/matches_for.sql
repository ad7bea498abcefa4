-- Which matches hold for a notification at a given time?
-- Of silences only those that are active now: the matches of others may not have been
-- forgotten yet.
create or replace function scooters_ops.matches_for(
    scope text,
    facts jsonb,
    at timestamptz
)
returns setof bigint
language sql stable parallel safe
begin atomic -- noqa: disable=all
select distinct matching.match_id
from scooters_ops.mission_matches(
    matches_for.scope,
    matches_for.facts ->> 'mission_id',
    matches_for.facts ->> 'performer_id',
    matches_for.facts -> 'attributes'
) as matching
where
    scooters_ops.is_match(
        matching.types,
        matching.job_types,
        matching.point_ids,
        matching.from_time,
        matching.span,
        matching.days,
        matching.time_zone,
        matches_for.facts ->> 'type',
        matches_for.facts ->> 'job_type',
        matches_for.facts ->> 'point_id',
        matches_for.at
    )
    and (
        matches_for.scope <> 'silence'
        or exists (
            select
            from scooters_ops.active_silences as active
            where active.silence_id = matching.match_id
        )
    );
end; -- noqa: enable=all

comment on function scooters_ops.matches_for(text, jsonb, timestamptz) is
'The match_id of each match of a scope (route, override, silence; of silences those that are active now) that holds at this time for a notification with these facts (JSON object): type, job_type, mission_id, point_id, performer_id, attributes.';

revoke execute on function scooters_ops.matches_for(text, jsonb, timestamptz)
from public;
grant execute on function scooters_ops.matches_for(text, jsonb, timestamptz)
to scooters_ops_analyst, scooters_ops_notifier;
