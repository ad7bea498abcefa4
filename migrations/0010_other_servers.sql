-- What do other servers need?
-- A publication for all tables must not stop those who update and delete: a table
-- without a key says which rows it means by all their columns. Passes take turns by a
-- lock on a table of their own, which nobody can take without a right on it.

alter table scooters_ops.mission_wakeups replica identity full;
alter table scooters_ops.news_horizon replica identity full;
alter table scooters_ops.notification_counts replica identity full;

create table scooters_ops.detection_lock (
    note text
);

alter table scooters_ops.detection_lock replica identity full;
