-- transactional: false
-- Built while everybody works. It may be repeated after an attempt that failed.

drop index concurrently if exists
scooters_ops.notification_recipients_notification_id_target_step_key;

create unique index concurrently notification_recipients_notification_id_target_step_key
on scooters_ops.notification_recipients (notification_id, target, step);

drop index concurrently if exists scooters_ops.notification_recipients_queue_idx;

create index concurrently notification_recipients_queue_idx
on scooters_ops.notification_recipients (
    channel, (follows is not null), address, next_attempt_at
)
where state in ('pending', 'sending');

alter table scooters_ops.notification_recipients
validate constraint notification_recipients_state_check,
validate constraint notification_recipients_step_check,
validate constraint notification_recipients_shows_check;

alter table scooters_ops.monitoring_notifications
validate constraint monitoring_notifications_acknowledged_at_check;
