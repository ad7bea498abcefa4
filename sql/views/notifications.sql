-- What was noticed, and what were the facts?
create or replace view scooters_ops.notifications as
select
    notification_id,
    idempotency_token,
    type,
    mission_id,
    point_id,
    job_id,
    completed,
    recipients,
    details,
    created_at
from scooters_ops.monitoring_notifications;

comment on view scooters_ops.notifications is
'Everything that was ever noticed, with the facts at detection.';
comment on column scooters_ops.notifications.notification_id is
'Number of the notification.';
comment on column scooters_ops.notifications.idempotency_token is
'Token of the event: mission, point, job and type.';
comment on column scooters_ops.notifications.type is
'timeout_in_point, timeout_between_points or job_skipped.';
comment on column scooters_ops.notifications.mission_id is
'The mission.';
comment on column scooters_ops.notifications.point_id is
'The point.';
comment on column scooters_ops.notifications.job_id is
'The skipped job; null for timeouts.';
comment on column scooters_ops.notifications.completed is
'Whether everything that config wanted sent has been sent.';
comment on column scooters_ops.notifications.recipients is
'What has been sent where (JSON array of recipients, each with "sended").';
comment on column scooters_ops.notifications.details is
'The facts at detection (JSON object; durations in seconds where a key ends in _seconds).';
comment on column scooters_ops.notifications.created_at is
'When the event was noticed.';

grant select on scooters_ops.notifications
to scooters_ops_analyst, scooters_ops_notifier;
