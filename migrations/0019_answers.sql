-- What must be known later, to say why something was reported, late or not at all? No
-- row is read or rewritten.

-- When the change that woke the mission was written. Nothing waits for it: due_at alone
-- says when a mission is looked at.
alter table scooters_ops.mission_wakeups
add column woken_at timestamptz not null default now();

alter table scooters_ops.recorded_intervals
-- When the database first knew what says when the limit passes.
add column known_at timestamptz,
-- The pass, by its as_of, that last wrote the row.
add column seen_at timestamptz,
-- The config by which eta, factor, rule and limit were computed.
add column config_id bigint;

alter table scooters_ops.monitoring_notifications
add column config_id bigint,
add column planned_config_id bigint,
add column known_at timestamptz,
add column noticed_after interval,
add column late_because text collate "C",
add constraint monitoring_notifications_late_because_check
check (late_because in ('event_late', 'config_changed', 'detection_down')) not valid;

alter table scooters_ops.configs
add column comment text collate "C";
