-- Which timeouts were missed, and will not be found by the next pass either?
-- They are overdue, recent enough to be reported and without a notification. They are
-- not recorded as the view shows them, and their mission has no wake-up that is due:
-- its rows were written without firing triggers. A recorded interval was judged, or the
-- next pass judges it; a closed one that was in time stays so, whatever the config.
-- The view evaluates, one by one, the missions under way and those with recent events.
create or replace view scooters_ops.unnoticed_timeouts as
with config as materialized (
    select
        in_force.detection_enabled,
        now() - in_force.notify_within as news_since,
        (
            select max(horizon.news_since)
            from scooters_ops.news_horizon as horizon
            where horizon.news_since <= now()
        ) as horizon,
        (
            select max(horizon.recorded_since)
            from scooters_ops.news_horizon as horizon
            where horizon.recorded_since <= now()
        ) as recorded_since
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
        coalesce(span.from_point_id, '') as started_from,
        scooters_ops.idempotency_token(
            span.mission_id, span.point_id, null, span.type
        ) as idempotency_token
    from candidate
    -- One by one, so that the filter on mission_id reaches the indexes of every table.
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
    and coalesce(overdue.finished_at >= config.recorded_since, true)
    -- The same interval may have been reported under another point.
    and not exists (
        select
        from scooters_ops.monitoring_notifications as known
        where
            known.mission_id = overdue.mission_id
            and known.type = overdue.type
            and (
                known.point_id = overdue.point_id
                or known.details ->> 'started_at'
                = to_jsonb(overdue.started_at at time zone 'UTC') #>> '{}' || '+00:00'
            )
    )
    and not exists (
        select
        from scooters_ops.recorded_intervals as recorded
        where
            recorded.mission_id = overdue.mission_id
            and recorded.type = overdue.type
            and recorded.from_point_id = overdue.started_from
            and recorded.point_id = overdue.point_id
            and recorded.started_at = overdue.started_at
            and recorded.finished_at is not distinct from overdue.finished_at
            and recorded.eta is not null
            and (
                overdue.finished_at is not null
                or recorded.deadline = overdue.deadline
            )
    );

comment on view scooters_ops.unnoticed_timeouts is
'Timeouts that should have a notification, have none, and will not be found by the next pass, because their rows were written without firing triggers: wake_missions() helps. An interval that is recorded as the view shows it is not listed: it was judged, or the next pass judges it. Evaluates all missions under way, and those with events within detection.notify_within_seconds.';
comment on column scooters_ops.unnoticed_timeouts.idempotency_token is
'Token of the missing notification.';

grant select on scooters_ops.unnoticed_timeouts to scooters_ops_analyst;
