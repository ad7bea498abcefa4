-- Which routes decide about a notification, in their order?
-- Routes are tried in order. The first one that matches decides, unless it says
-- "continue". A route matches when each key of its match does: type, job_type or an
-- attribute of the mission equals the given value, or one of the given list.
create or replace function scooters_ops.matching_routes(
    type scooters_ops.monitoring_notification_type,
    job_type text,
    attributes jsonb
)
returns table (n bigint, route jsonb)
language sql stable
begin atomic -- noqa: disable=all
with facts as (
    select
        coalesce(matching_routes.attributes, '{}') || jsonb_build_object(
            'type', matching_routes.type,
            'job_type', matching_routes.job_type
        ) as fact
),

matching as (
    select
        route.n,
        route.value as route,
        coalesce(
            bool_or(not coalesce((route.value -> 'continue')::boolean, false)) over (
                order by route.n rows between unbounded preceding and 1 preceding
            ),
            false
        ) as is_decided
    from scooters_ops.config_in_force
    cross join facts
    cross join lateral jsonb_array_elements(config -> 'routes')
        with ordinality as route (value, n)
    where not exists (
        select
        from jsonb_each(route.value -> 'match') as wanted
        where
            coalesce(
                case jsonb_typeof(wanted.value)
                    when 'array' then not exists (
                        select
                        from jsonb_array_elements(wanted.value) as choice
                        where choice = facts.fact -> wanted.key
                    )
                    else wanted.value <> facts.fact -> wanted.key
                end,
                true
            )
    )
)

select
    matching.n,
    matching.route
from matching
where not matching.is_decided;
end; -- noqa: enable=all

comment on function scooters_ops.matching_routes(
    scooters_ops.monitoring_notification_type, text, jsonb
) is
'The routes (JSON objects) of the config in force, and their places among all routes from 1, that decide about a notification of this type, job type (null: none) and mission attributes (JSON object).';

revoke execute on function scooters_ops.matching_routes(
    scooters_ops.monitoring_notification_type, text, jsonb
) from public;
grant execute on function scooters_ops.matching_routes(
    scooters_ops.monitoring_notification_type, text, jsonb
) to scooters_ops_analyst, scooters_ops_notifier;
