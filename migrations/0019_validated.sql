-- transactional: false
-- Rows are read while everybody works.

alter table scooters_ops.monitoring_notifications
validate constraint monitoring_notifications_late_because_check,
validate constraint monitoring_notifications_told_late_because_check;

alter table scooters_ops.notification_recipients
validate constraint notification_recipients_delayed_by_check;
