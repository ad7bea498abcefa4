-- Which timeouts have passes missed, though nothing will make them look?
-- They are overdue, still news, and have no notification, and their mission has no
-- wake-up that is due: its rows came without firing triggers. It looks at the missions
-- under way and at those with events that may still be news, one by one.
create or replace view scooters_ops.unnoticed_timeouts as
with config as materialized (
    select
        in_force.detection_enabled,
        now() - in_force.notify_within as news_since,
        (
            select max(horizon.news_since)
            from scooters_ops.news_horizon as horizon
            where horizon.news_since <= now()
        ) as horizon
    from scooters_ops.config_in_force as in_force
),

candidate as materialized (
    select mission.mission_id
    from scooters_ops.missions as mission
    where mission.status in ('created', 'active')
    union
    select event.mission_id
    from config
    inner join scooters_ops.missions_history as event
        on event.occurred_at >= coalesce(config.news_since, '-infinity')
    except
    select wakeup.mission_id
    from scooters_ops.mission_wakeups as wakeup
    where wakeup.due_at <= now()
),

overdue as (
    select
        span.mission_id,
        span.point_id,
        span.type,
        span.started_at,
        span.finished_at,
        span.deadline,
        scooters_ops.idempotency_token(
            span.mission_id, span.point_id, null, span.type
        ) as idempotency_token
    from candidate
    -- One by one, so that the mission reaches the indexes of every table.
    inner join lateral (
        select each.*
        from scooters_ops.mission_intervals as each
        where
            each.mission_id = candidate.mission_id
            and each.is_overdue
    ) as span on true
)

select
    overdue.idempotency_token,
    overdue.mission_id,
    overdue.point_id,
    overdue.type,
    overdue.started_at,
    overdue.finished_at,
    overdue.deadline
from overdue
inner join scooters_ops.timeout_rules as rule on overdue.type = rule.type
cross join config
where
    config.detection_enabled
    and rule.is_enabled
    and overdue.deadline >= coalesce(config.news_since, '-infinity')
    and overdue.deadline >= coalesce(config.horizon, '-infinity')
    and not exists (
        select
        from scooters_ops.monitoring_notifications as known
        where known.idempotency_token = overdue.idempotency_token
    );

comment on view scooters_ops.unnoticed_timeouts is
'Timeouts that are news and have no notification, though no pass is about to look at their mission: those of rows that came without firing triggers (wake_missions mends that), and for a moment those that fall due just now. Looks at all missions under way, and at those with events within detection.notify_within_seconds.';
comment on column scooters_ops.unnoticed_timeouts.idempotency_token is
'Token of the notification that is missing.';
comment on column scooters_ops.unnoticed_timeouts.mission_id is
'The mission.';
comment on column scooters_ops.unnoticed_timeouts.point_id is
'The point where the courier is, or to which the courier is on the way.';
comment on column scooters_ops.unnoticed_timeouts.type is
'timeout_in_point or timeout_between_points.';
comment on column scooters_ops.unnoticed_timeouts.started_at is
'When the event that opened the interval occurred.';
comment on column scooters_ops.unnoticed_timeouts.finished_at is
'When the next event closed it; null while it is open.';
comment on column scooters_ops.unnoticed_timeouts.deadline is
'started_at + the time limit, by the config in force.';

grant select on scooters_ops.unnoticed_timeouts to scooters_ops_analyst;
