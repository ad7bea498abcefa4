-- Which token makes sure that an event is notified only once?
-- {mission_id}_{point_id}_{job_id}_{type}, where an absent part is empty. Within
-- identifiers, _ and \ are escaped with \, so that no two events share a token.
create or replace function scooters_ops.idempotency_token(
    mission_id text,
    point_id text,
    job_id text,
    type scooters_ops.monitoring_notification_type
)
returns text
language sql stable parallel safe
return concat_ws(
    '_',
    regexp_replace(mission_id, '([_\\])', '\\\1', 'g'),
    regexp_replace(coalesce(point_id, ''), '([_\\])', '\\\1', 'g'),
    regexp_replace(coalesce(job_id, ''), '([_\\])', '\\\1', 'g'),
    type::text
);

comment on function scooters_ops.idempotency_token(
    text, text, text, scooters_ops.monitoring_notification_type
) is
'The token of a notification: {mission_id}_{point_id}_{job_id}_{type}, with _ and \ escaped with \ within identifiers.';

revoke execute on function scooters_ops.idempotency_token(
    text, text, text, scooters_ops.monitoring_notification_type
) from public;
grant execute on function scooters_ops.idempotency_token(
    text, text, text, scooters_ops.monitoring_notification_type
) to scooters_ops_analyst;
