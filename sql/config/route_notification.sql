-- Which recipients do the routes name for a notification, and does any route match?
create or replace function scooters_ops.route_notification(
    type scooters_ops.monitoring_notification_type,
    job_type text,
    attributes jsonb
)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
with matching as materialized (
    select *
    from scooters_ops.matching_routes(
        jsonb_build_object(
            'type', route_notification.type,
            'job_type', route_notification.job_type,
            'attributes', route_notification.attributes
        ),
        now()
    )
),

-- A recipient that is named twice gets one message.
named_recipients as (
    select
        recipient.value as recipient,
        min(array[matching.n, recipient.n]) as place
    from matching
    cross join lateral jsonb_array_elements(matching.route -> 'recipients')
        with ordinality as recipient (value, n)
    group by recipient.value
)

select coalesce(jsonb_agg(recipient order by place), '[]')
from named_recipients
having exists (select from matching);
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
