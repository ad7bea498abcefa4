-- What can a match say about a notification?
create or replace function scooters_ops.match_facts(
    notification scooters_ops.monitoring_notifications
)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
select jsonb_build_object(
    'type', notification.type,
    'job_type', notification.details -> 'job_type',
    'mission_id', notification.mission_id,
    'point_id', notification.point_id,
    'performer_id', notification.details -> 'performer_id',
    'attributes', notification.details -> 'attributes'
);
end; -- noqa: enable=all

comment on function scooters_ops.match_facts(scooters_ops.monitoring_notifications) is
'The facts (JSON object) about a notification by which matches_for() decides: type, job_type, mission_id, point_id, performer_id, attributes.';

revoke execute on function
scooters_ops.match_facts(scooters_ops.monitoring_notifications) from public;
