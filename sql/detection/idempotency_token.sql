-- By which token is an event known, so that it is notified once?
-- {mission_id}_{point_id}_{job_id}_{type}, an absent part being empty. The separator
-- and the escape character are escaped within identifiers, so that no two events share
-- one.
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
'The token of a notification: {mission_id}_{point_id}_{job_id}_{type}, with _ and \ escaped by \ within identifiers.';

revoke execute on function scooters_ops.idempotency_token(
    text, text, text, scooters_ops.monitoring_notification_type
) from public;
grant execute on function scooters_ops.idempotency_token(
    text, text, text, scooters_ops.monitoring_notification_type
) to scooters_ops_analyst;
