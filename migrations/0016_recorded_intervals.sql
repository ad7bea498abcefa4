-- Passes record the intervals that they evaluate, judge recorded rows by their
-- deadline, and resolve the notifications of those that ended. No row of an existing
-- table is rewritten or read, so this takes moments on a database of any size. The
-- first pass wakes every mission under way; backfill_intervals() records the finished
-- ones.

-- mission_id and from_point_id say where an interval began, which never changes; '' is
-- the start of the mission.
create table scooters_ops.recorded_intervals (
    mission_id text collate "C" not null,
    type scooters_ops.monitoring_notification_type not null,
    is_judged boolean not null,
    from_point_id text collate "C" not null default '',
    point_id text collate "C" not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    deadline timestamptz,
    notification_id bigint,
    eta interval,
    time_limit interval,
    factor numeric,
    rule text collate "C",
    constraint recorded_intervals_pkey
    primary key (mission_id, type, from_point_id)
) with (
    -- A day changes a small part of a large table: the default share of a fifth would
    -- let dead rows pile up for weeks where passes read.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    -- Truncating the file would take a lock that passes wait for.
    vacuum_truncate = false
);

create index recorded_intervals_unjudged_idx
on scooters_ops.recorded_intervals (type, deadline)
where not is_judged;

create index recorded_intervals_open_idx
on scooters_ops.recorded_intervals (deadline, mission_id) include (type)
where finished_at is null;

create index recorded_intervals_open_type_idx
on scooters_ops.recorded_intervals (type)
where finished_at is null;

create index recorded_intervals_started_at_idx
on scooters_ops.recorded_intervals (started_at);

-- For reports about a city: without it the planner takes any city for one mission in
-- two hundred, and looks up the intervals of each, however short the span of time.
create statistics scooters_ops.missions_city_stats
on (attributes ->> 'city') from scooters_ops.missions;

create table scooters_ops.pending_resolutions (
    notification_id bigint not null,
    constraint pending_resolutions_pkey primary key (notification_id)
);

alter table scooters_ops.monitoring_notifications
add column resolved_at timestamptz,
add column resolution text collate "C",
add constraint monitoring_notifications_resolution_check
check (resolution in ('moved_on', 'ended', 'withdrawn')) not valid,
add constraint monitoring_notifications_resolved_at_check
check ((resolved_at is null) = (resolution is null)) not valid;

alter table scooters_ops.detection_passes
-- Null: a pass of an earlier version, which recorded nothing.
add column recorded int,
add column judged int,
add column resolved int,
add column total_recorded bigint not null default 0,
add column total_judged bigint not null default 0,
add column total_resolved bigint not null default 0;

-- What is pruned stays pruned.
alter table scooters_ops.news_horizon
add column recorded_since timestamptz not null default '-infinity';
