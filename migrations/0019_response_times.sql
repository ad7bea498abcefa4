-- What must be known later, to say how soon people were told, and how long each step of
-- an answer takes? No row is read or rewritten.

alter table scooters_ops.notification_recipients
-- Why the alert was leased so long after it was due.
add column delayed_by text collate "C",
add constraint notification_recipients_delayed_by_check
check (delayed_by in ('on_hold', 'limits', 'no_notifier')) not valid;

alter table scooters_ops.monitoring_notifications
-- When its first alert was sent.
add column told_at timestamptz,
add column told_late_because text collate "C",
-- Whether no route matched it at first.
add column was_unrouted boolean not null default false,
add constraint monitoring_notifications_told_late_because_check
check (
    told_late_because in (
        'unrouted', 'silenced', 'on_hold', 'limits', 'failing', 'no_notifier'
    )
) not valid;

-- Whoever makes a duration known only appends it, and so never waits. Passes fold them
-- into duration_totals.
create table scooters_ops.new_durations (
    stage text collate "C" not null,
    type scooters_ops.monitoring_notification_type not null,
    duration interval not null,
    late_because text collate "C"
);

-- As of mission_wakeups: rows come and go while the table stays small.
alter table scooters_ops.new_durations set (
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0,
    vacuum_truncate = false
);

-- So that it may be published as a table without a key.
alter table scooters_ops.new_durations replica identity full;

create table scooters_ops.duration_totals (
    stage text collate "C" not null,
    type scooters_ops.monitoring_notification_type not null,
    late_because text collate "C" not null,
    le double precision not null,
    durations bigint not null,
    total interval not null,
    constraint duration_totals_pkey primary key (stage, type, late_because, le),
    constraint duration_totals_stage_check
    check (stage in ('noticed', 'told', 'acknowledged', 'resolved'))
);
