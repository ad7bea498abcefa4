-- Which recipients do the routes name for a notification, and does any route match?
-- Routes are tried in order. The first one that matches decides, unless it says
-- "continue". A route matches when each key of its match does: type, job_type or an
-- attribute of the mission equals the given value, or one of the given list.
create or replace function scooters_ops.route_notification(
    type scooters_ops.monitoring_notification_type,
    job_type text,
    attributes jsonb
)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
with facts as (
    select
        coalesce(route_notification.attributes, '{}') || jsonb_build_object(
            'type', route_notification.type,
            'job_type', route_notification.job_type
        ) as fact
),

matching_routes as (
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
),

-- A recipient that is named twice gets one message.
named_recipients as (
    select
        recipient.value as recipient,
        min(array[matching_routes.n, recipient.n]) as place
    from matching_routes
    cross join lateral jsonb_array_elements(matching_routes.route -> 'recipients')
        with ordinality as recipient (value, n)
    where not matching_routes.is_decided
    group by recipient.value
)

select coalesce(jsonb_agg(recipient order by place), '[]')
from named_recipients
having exists (select from matching_routes);
end; -- noqa: enable=all

comment on function scooters_ops.route_notification(
    scooters_ops.monitoring_notification_type, text, jsonb
) is
'The recipients (JSON array of {"type": channel, ...}) that the config in force names for a notification of this type, job type (null: none) and mission attributes (JSON object); null if no route matches, an empty array if one matches and names nobody.';

revoke execute on function scooters_ops.route_notification(
    scooters_ops.monitoring_notification_type, text, jsonb
) from public;
grant execute on function scooters_ops.route_notification(
    scooters_ops.monitoring_notification_type, text, jsonb
) to scooters_ops_analyst, scooters_ops_notifier;
