-- Which notifications are there, with which facts?
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
    unrouted.notification_id is not null as is_unrouted,
    notification.resolved_at,
    notification.resolution,
    notification.ended_at,
    notification.acknowledged_at,
    notification.acknowledged_by,
    notification.config_id,
    notification.planned_at,
    notification.planned_config_id,
    notification.known_at,
    notification.noticed_after,
    notification.late_because
from scooters_ops.monitoring_notifications as notification
left join scooters_ops.unrouted_notifications as unrouted using (notification_id)
where notification.type::text <> 'test';

comment on view scooters_ops.notifications is
'All notifications that were not pruned, with the facts at detection.';
comment on column scooters_ops.notifications.notification_id is
'Number of the notification.';
comment on column scooters_ops.notifications.idempotency_token is
'Token of the notification: mission, point, job and type.';
comment on column scooters_ops.notifications.type is
'timeout_in_point, timeout_between_points or job_skipped.';
comment on column scooters_ops.notifications.mission_id is
'The mission.';
comment on column scooters_ops.notifications.point_id is
'The point.';
comment on column scooters_ops.notifications.job_id is
'The skipped job; null for timeouts.';
comment on column scooters_ops.notifications.completed is
'Whether everything that config wanted sent was sent; false if no route matched.';
comment on column scooters_ops.notifications.recipients is
'What was sent where (JSON array of recipients, each with "sended").';
comment on column scooters_ops.notifications.details is
'The facts at detection (JSON object; values of keys that end in _seconds are in seconds).';
comment on column scooters_ops.notifications.created_at is
'When the notification was inserted.';
comment on column scooters_ops.notifications.is_unrouted is
'Whether no route matched it, so that nobody was notified: a route is missing. It is not completed then.';
comment on column scooters_ops.notifications.resolved_at is
'When a pass saw that the interval was over; null: none has seen it yet, or the notification is of a skipped job.';
comment on column scooters_ops.notifications.resolution is
'moved_on: the next event closed the interval; ended: the mission is over; withdrawn: late or corrected events say that the interval never was; null: not resolved.';
comment on column scooters_ops.notifications.ended_at is
'When the interval ended; null: it is not resolved, or withdrawn, or an earlier version resolved it.';
comment on column scooters_ops.notifications.acknowledged_at is
'When somebody first acknowledged it; null: nobody has.';
comment on column scooters_ops.notifications.acknowledged_by is
'Who acknowledged it, and so takes care of it.';
comment on column scooters_ops.notifications.config_id is
'The config that was in force when it was noticed; null: an earlier version noticed it.';
comment on column scooters_ops.notifications.planned_at is
'When its recipients were decided; null: not yet.';
comment on column scooters_ops.notifications.planned_config_id is
'The config whose routes decided its recipients; null: not yet, or an earlier version decided.';
comment on column scooters_ops.notifications.known_at is
'When the database first knew what says when the limit passes; null: a skipped job, or an earlier version noticed it.';
comment on column scooters_ops.notifications.noticed_after is
'How long after its limit had passed it was noticed (interval); null: a skipped job, or an earlier version noticed it.';
comment on column scooters_ops.notifications.late_because is
'What delayed that longest, if it was longer than detection.stalled_after_seconds: event_late, config_changed or detection_down (no pass came to it in time); null: it was not longer, or nobody knows.';

grant select on scooters_ops.notifications
to scooters_ops_analyst, scooters_ops_notifier;
