-- How soon was it noticed, told, acknowledged and over, and what made it late?
-- Each row is that of one notification, so a window of noticed_at or a mission is read
-- by an index, and nothing else is.
create or replace view scooters_ops.response_times as
with noticed as (
    select
        notification.*,
        coalesce(notification.told_at, earlier.told_at) as first_told_at
    from scooters_ops.monitoring_notifications as notification
    -- An earlier version may have told of it.
    left join lateral (
        select min(alert.sent_at) as told_at
        from scooters_ops.notification_recipients as alert
        where
            notification.told_at is null
            and notification.config_id is null
            and alert.notification_id = notification.notification_id
            and alert.step = 'alert'
            and alert.state = 'sent'
    ) as earlier on true
    where notification.type::text <> 'test'
)

select
    notification_id,
    idempotency_token,
    type,
    mission_id,
    point_id,
    job_id,
    details ->> 'performer_id' as performer_id,
    details -> 'attributes' as attributes,
    case
        when type = 'job_skipped' then created_at
        else scooters_ops.why_moment(details ->> 'detected_at') - noticed_after
    end as happened_at,
    created_at as noticed_at,
    first_told_at as told_at,
    acknowledged_at,
    acknowledged_by,
    resolved_at,
    resolution,
    ended_at,
    noticed_after,
    case
        when first_told_at is not null
            then greatest(first_told_at - created_at, '0')
    end as told_after,
    case
        when acknowledged_at is not null
            then greatest(
                acknowledged_at - case
                    when first_told_at < acknowledged_at then first_told_at
                    else created_at
                end,
                '0'
            )
    end as acknowledged_after,
    case when ended_at > created_at then ended_at - created_at end as resolved_after,
    late_because,
    told_late_because,
    planned_config_id
from noticed;

comment on view scooters_ops.response_times is
'How soon each notification was noticed, told, acknowledged and over, with what made it late: one row for each notification that was not pruned.';
comment on column scooters_ops.response_times.performer_id is
'The courier, as known when it was noticed.';
comment on column scooters_ops.response_times.attributes is
'The mission''s attributes when it was noticed (JSON object): city, zone, performer_name, ...';
comment on column scooters_ops.response_times.happened_at is
'When the limit passed, or the job was skipped; null: an earlier version noticed it.';
comment on column scooters_ops.response_times.noticed_at is
'When the notification was inserted. A window of this column is read by an index.';
comment on column scooters_ops.response_times.told_at is
'When its first alert was sent; null: nobody was told yet.';
comment on column scooters_ops.response_times.told_after is
'From noticed_at until told_at (interval); null: nobody was told yet.';
comment on column scooters_ops.response_times.acknowledged_after is
'From told_at until it was acknowledged, or from noticed_at if nobody was told before (interval); null: nobody has acknowledged it.';
comment on column scooters_ops.response_times.resolved_after is
'From noticed_at until the interval ended, by the time of the event that ended it (interval); null: it goes on, was over already when it was noticed, was withdrawn, or is a skipped job.';
comment on column scooters_ops.response_times.told_late_because is
'The first thing that alone made told_after longer than notifier.stuck_after_seconds: unrouted (no route matched it at first), no_notifier (no notifier planned or took it), silenced, on_hold (its chat, queue or channel was on hold), limits (others of its channel were sent before it, as limits and slots allow) or failing (earlier attempts failed); null: it was not longer, nothing alone took so long, or an earlier version told of it.';

grant select on scooters_ops.response_times to scooters_ops_analyst;
