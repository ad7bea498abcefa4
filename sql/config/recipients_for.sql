-- Which recipients do the routes name for a notification like this?
create or replace function scooters_ops.recipients_for(
    type scooters_ops.monitoring_notification_type,
    job_type text,
    attributes jsonb
)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
select coalesce(
    scooters_ops.route_notification(
        recipients_for.type, recipients_for.job_type, recipients_for.attributes
    ),
    '[]'
);
end; -- noqa: enable=all

comment on function scooters_ops.recipients_for(
    scooters_ops.monitoring_notification_type, text, jsonb
) is
'The recipients (JSON array of {"type": channel, ...}) that the config in force names for a notification of this type, job type (null: none) and mission attributes (JSON object); an empty array if no route matches.';

revoke execute on function scooters_ops.recipients_for(
    scooters_ops.monitoring_notification_type, text, jsonb
) from public;
grant execute on function scooters_ops.recipients_for(
    scooters_ops.monitoring_notification_type, text, jsonb
) to scooters_ops_analyst, scooters_ops_notifier;
