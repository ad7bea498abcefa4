-- What was left for later? The constraints of notifications are checked for the rows
-- that were there, while everybody works.

alter table scooters_ops.monitoring_notifications
validate constraint monitoring_notifications_resolution_check,
validate constraint monitoring_notifications_resolved_at_check;
