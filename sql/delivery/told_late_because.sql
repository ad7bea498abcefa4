-- Why were people told of a notification so late?
-- The first thing that alone kept them waiting for longer than
-- notifier.stuck_after_seconds. Its first alert was just sent.
create or replace function scooters_ops.told_late_because(
    notification scooters_ops.monitoring_notifications
)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select
    case
        when
            notification.was_unrouted
            and notification.planned_at - notification.created_at > in_force.stuck_after
            then 'unrouted'
        when notification.planned_at - notification.created_at > in_force.stuck_after
            then 'no_notifier'
        when
            coalesce(silence.ended_at, silence.ends_at) - notification.created_at
            > in_force.stuck_after
            then 'silenced'
        when coalesce(alert.delayed_by, leader.delayed_by) is not null
            then coalesce(alert.delayed_by, leader.delayed_by)
        when alert.attempts > 1 or alert.last_error is not null then 'failing'
    end
from scooters_ops.notification_recipients as alert
left join scooters_ops.notification_recipients as leader
    on alert.digest_id = leader.recipient_id
left join scooters_ops.silences as silence
    on alert.silence_id = silence.silence_id
cross join scooters_ops.config_in_force as in_force
where
    alert.notification_id = notification.notification_id
    and alert.step = 'alert'
    and alert.state = 'sent'
order by
    alert.sent_at,
    alert.recipient_id
limit 1
$$;

comment on function
scooters_ops.told_late_because(scooters_ops.monitoring_notifications) is
'Why the first alert of this notification was sent longer than notifier.stuck_after_seconds after the notification was inserted: unrouted (no route matched it at first), no_notifier (no notifier planned or took it), silenced, on_hold (its chat, queue or channel was on hold), limits (others of its channel were sent before it, as limits and slots allow), failing (earlier attempts failed); null: none of these alone took so long.';

revoke execute on function
scooters_ops.told_late_because(scooters_ops.monitoring_notifications)
from public;
