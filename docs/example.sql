-- What do the views look like? Four finished missions of one morning.
-- For an empty, migrated database: psql -f docs/example.sql
-- config.json limits a trip to 15 minutes and the exchange of a battery to 7.5 minutes.
\set ON_ERROR_STOP on
\set QUIET on
set timezone = 'UTC';
\o /dev/null

begin;

with couriers (mission_id, performer_id, performer_name, city) as (
    values
    ('m-101', 'c-7', 'Anna', 'Moscow'),
    ('m-102', 'c-8', 'Boris', 'Moscow'),
    ('m-103', 'c-9', 'Vera', 'Moscow'),
    ('m-104', 'c-7', 'Anna', 'Tver')
)

select
    scooters_ops.create_mission(
        jsonb_build_object(
            'mission_id', mission_id,
            'performer_id', performer_id,
            'attributes', jsonb_build_object(
                'performer_name', performer_name, 'city', city
            ),
            'points', '[
                {"point_id": "p1", "eta_seconds": 600, "jobs": [
                    {"job_id": "j1", "type": "battery_exchange"}]},
                {"point_id": "p2", "eta_seconds": 600, "jobs": [
                    {"job_id": "j1", "type": "battery_exchange"}]}
            ]'::jsonb
        )
    )
from couriers;

with events (mission_id, type, point_id, occurred_at) as (
    values
    -- Anna is on time.
    ('m-101', 'mission_started', null, '08:00'),
    ('m-101', 'point_arrived', 'p1', '08:11'),
    ('m-101', 'point_completed', 'p1', '08:16'),
    ('m-101', 'point_arrived', 'p2', '08:25'),
    ('m-101', 'point_completed', 'p2', '08:31'),
    ('m-101', 'mission_completed', null, '08:31'),
    -- Boris stays at his second point for half an hour.
    ('m-102', 'mission_started', null, '08:05'),
    ('m-102', 'point_arrived', 'p1', '08:14'),
    ('m-102', 'point_completed', 'p1', '08:20'),
    ('m-102', 'point_arrived', 'p2', '08:32'),
    ('m-102', 'point_completed', 'p2', '09:02'),
    ('m-102', 'mission_completed', null, '09:02'),
    -- Vera takes half an hour to her first point, and skips the job at the second.
    ('m-103', 'mission_started', null, '08:10'),
    ('m-103', 'point_arrived', 'p1', '08:40'),
    ('m-103', 'point_completed', 'p1', '08:46'),
    ('m-103', 'mission_completed', null, '08:59'),
    -- Anna again, elsewhere and on time.
    ('m-104', 'mission_started', null, '09:00'),
    ('m-104', 'point_arrived', 'p1', '09:09'),
    ('m-104', 'point_completed', 'p1', '09:13'),
    ('m-104', 'point_arrived', 'p2', '09:21'),
    ('m-104', 'point_completed', 'p2', '09:26'),
    ('m-104', 'mission_completed', null, '09:26')
)

select
    scooters_ops.record_event(
        mission_id, type, point_id, ('2026-11-23 ' || occurred_at || '+00')::timestamptz
    )
from events;

select scooters_ops.skip_job('m-103', 'p2', 'j1');

-- The passes of that morning. Somebody takes care of Vera while she is under way.
select scooters_ops.detect_timeouts('2026-11-23 08:26+00');

select scooters_ops.acknowledge('m-103_p1__timeout_between_points', 'Olga');

select scooters_ops.detect_timeouts('2026-11-23 08:41+00');

select scooters_ops.detect_timeouts('2026-11-23 09:30+00');

select scooters_ops.plan_deliveries(100);

-- As if all this had been said then.
update scooters_ops.monitoring_notifications
set
    created_at = coalesce(
        (details ->> 'detected_at')::timestamptz, '2026-11-23 08:58+00'
    ),
    acknowledged_at = case
        when acknowledged_at is not null then '2026-11-23 08:30+00'::timestamptz
    end,
    details = case
        when details ? 'skipped_at'
            then jsonb_set(details, '{skipped_at}', '"2026-11-23T08:58:00+00:00"')
        else details
    end;

commit;
\o
\echo Loaded: missions m-101 to m-104.
