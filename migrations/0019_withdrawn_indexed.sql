-- transactional: false
-- Built while everybody works. It may be repeated after an attempt that failed.

drop index concurrently if exists
scooters_ops.monitoring_notifications_withdrawn_idx;

create index concurrently monitoring_notifications_withdrawn_idx
on scooters_ops.monitoring_notifications (((details ->> 'started_at') collate "C"))
where resolved_at is not null and ended_at is null;
