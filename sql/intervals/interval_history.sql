-- Which intervals did passes record, and how were they judged?
-- A query pays for the joins only if it asks for their columns.
create or replace view scooters_ops.interval_history as
select
    recorded.mission_id,
    mission.performer_id,
    recorded.point_id,
    recorded.type,
    recorded.started_at,
    recorded.finished_at,
    recorded.eta,
    recorded.factor,
    recorded.time_limit,
    recorded.deadline,
    least(
        coalesce(recorded.finished_at, now()),
        recorded.started_at + make_interval(secs => scooters_ops.longest_seconds())
    ) - recorded.started_at as elapsed,
    recorded.finished_at is null as is_open,
    coalesce(coalesce(recorded.finished_at, now()) > recorded.deadline, false)
        as is_overdue,
    nullif(recorded.from_point_id, '') as from_point_id,
    recorded.rule,
    mission.attributes,
    -- A pruned notification is named by the token that it had.
    case
        when recorded.notification_id is not null
            then coalesce(
                notification.idempotency_token,
                scooters_ops.idempotency_token(
                    recorded.mission_id, recorded.point_id, null, recorded.type
                )
            )
    end as idempotency_token,
    recorded.known_at,
    recorded.seen_at,
    recorded.config_id
from scooters_ops.recorded_intervals as recorded
left join scooters_ops.missions as mission
    on recorded.mission_id = mission.mission_id
left join scooters_ops.monitoring_notifications as notification
    on recorded.notification_id = notification.notification_id;

comment on view scooters_ops.interval_history is
'Every recorded interval, as it was judged: an open one by the config in force, a closed one by the config of the pass that first recorded it as closed. It is as current as the last pass; mission_intervals is live. For reports: it reads rows and computes nothing again.';
comment on column scooters_ops.interval_history.eta is
'Planned duration, as it was judged (interval); null: nothing was planned.';
comment on column scooters_ops.interval_history.factor is
'How many times its eta it could last, as it was judged (a number without unit).';
comment on column scooters_ops.interval_history.time_limit is
'How long it could last, as it was judged (interval); null: no limit.';
comment on column scooters_ops.interval_history.deadline is
'When its limit is reached, as it was judged: started_at + time_limit; null: no limit, or one after the year 9999.';
comment on column scooters_ops.interval_history.is_overdue is
'Whether it has lasted strictly longer than its limit, as it was judged; an open one: as of now.';
comment on column scooters_ops.interval_history.rule is
'The name of the override by which it was judged; null: the default rule.';
comment on column scooters_ops.interval_history.attributes is
'The mission''s attributes (JSON object): city, zone, performer_name, ...';
comment on column scooters_ops.interval_history.idempotency_token is
'Token of the notification that reported it; null: it was never reported. Two intervals to one point name the one notification.';
comment on column scooters_ops.interval_history.known_at is
'When the database first knew what says when the limit passes: its beginning, its point, its limit; null: an earlier version, or a backfill, recorded it.';
comment on column scooters_ops.interval_history.seen_at is
'The pass, by its as_of, that last wrote what stands here; null: a pass of an earlier version.';
comment on column scooters_ops.interval_history.config_id is
'The config by which it was judged: a later one may say the same; null: a pass of an earlier version judged it.';

grant select on scooters_ops.interval_history to scooters_ops_analyst;
