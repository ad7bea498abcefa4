-- What was noticed, and what were the facts?
create or replace view scooters_ops.notifications as
select
    notification.notification_id,
    notification.idempotency_token,
    notification.type,
    notification.mission_id,
    notification.point_id,
    notification.job_id,
    notification.completed,
    notification.recipients,
    notification.details,
    notification.created_at,
    unrouted.notification_id is not null as is_unrouted
from scooters_ops.monitoring_notifications as notification
left join scooters_ops.unrouted_notifications as unrouted using (notification_id);

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
'Whether everything that config wanted sent has been sent; false where no route said whom to tell.';
comment on column scooters_ops.notifications.recipients is
'What has been sent where (JSON array of recipients, each with "sended").';
comment on column scooters_ops.notifications.details is
'The facts at detection (JSON object; durations in seconds where a key ends in _seconds).';
comment on column scooters_ops.notifications.created_at is
'When the event was noticed.';
comment on column scooters_ops.notifications.is_unrouted is
'Whether no route matched it, so that nobody was told: a route is missing. Then it is not completed.';

grant select on scooters_ops.notifications
to scooters_ops_analyst, scooters_ops_notifier;
