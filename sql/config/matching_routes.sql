-- Which routes decide about a notification, in their order?
-- The first route whose match holds decides, unless it says "continue".
create or replace function scooters_ops.matching_routes(facts jsonb, at timestamptz)
returns table (n bigint, route jsonb)
language sql stable
begin atomic -- noqa: disable=all
with matching as (
    select
        match.match_id as n,
        config -> 'routes' -> (match.match_id - 1)::integer as route
    from scooters_ops.config_in_force
    cross join scooters_ops.matches_for(
        'route', matching_routes.facts, matching_routes.at
    ) as match (match_id)
),

decided as (
    select
        matching.*,
        coalesce(
            bool_or(not coalesce((matching.route -> 'continue')::boolean, false)) over (
                order by matching.n rows between unbounded preceding and 1 preceding
            ),
            false
        ) as is_decided
    from matching
)

select
    decided.n,
    decided.route
from decided
where not decided.is_decided;
end; -- noqa: enable=all

comment on function scooters_ops.matching_routes(jsonb, timestamptz) is
'The routes (JSON objects) of the config in force, and their places among all routes from 1, that decide at this time about a notification with these facts (JSON object): type, job_type, mission_id, point_id, performer_id, attributes.';

revoke execute on function scooters_ops.matching_routes(jsonb, timestamptz) from public;
grant execute on function scooters_ops.matching_routes(jsonb, timestamptz)
to scooters_ops_analyst, scooters_ops_notifier;
