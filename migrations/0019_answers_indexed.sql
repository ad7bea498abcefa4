-- transactional: false
-- Built while everybody works. It may be repeated after an attempt that failed.

drop index concurrently if exists
scooters_ops.monitoring_notifications_created_at_idx;

create index concurrently monitoring_notifications_created_at_idx
on scooters_ops.monitoring_notifications (created_at);
