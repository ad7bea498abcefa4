-- Who was notified of what, and was it sent?
-- Alerts alone; notification_steps has what follows them.
-- The columns keep the database's collation: analysts' views depend on this one, and a
-- view cannot change the collation of a column.
create or replace view scooters_ops.notification_deliveries as
select
    notification.notification_id,
    notification.idempotency_token,
    notification.type,
    notification.mission_id,
    notification.point_id,
    notification.job_id,
    recipient.channel collate "default" as channel,  -- noqa: RF02,RF03
    recipient.target,
    recipient.state = 'sent' as sended,
    recipient.state collate "default" as state,  -- noqa: RF02,RF03
    recipient.attempts,
    recipient.last_error,
    recipient.reference,
    notification.created_at,
    case when recipient.state = 'pending' then recipient.next_attempt_at end
        as next_attempt_at,
    recipient.sent_at
from scooters_ops.notification_recipients as recipient
inner join scooters_ops.monitoring_notifications as notification
    using (notification_id)
where
    recipient.step = 'alert'
    and notification.type::text <> 'test';

comment on view scooters_ops.notification_deliveries is
'Each recipient of each notification, and the state of its alert. notification_steps also has what follows the alert.';
comment on column scooters_ops.notification_deliveries.notification_id is
'Number of the notification.';
comment on column scooters_ops.notification_deliveries.idempotency_token is
'Token of the notification: mission, point, job and type.';
comment on column scooters_ops.notification_deliveries.type is
'timeout_in_point, timeout_between_points or job_skipped.';
comment on column scooters_ops.notification_deliveries.mission_id is
'The mission.';
comment on column scooters_ops.notification_deliveries.point_id is
'The point.';
comment on column scooters_ops.notification_deliveries.job_id is
'The skipped job; null for timeouts.';
comment on column scooters_ops.notification_deliveries.channel is
'The channel: telegram, st, ...';
comment on column scooters_ops.notification_deliveries.target is
'The recipient as the routes named it (JSON object).';
comment on column scooters_ops.notification_deliveries.sended is
'Whether it was sent.';
comment on column scooters_ops.notification_deliveries.state is
'pending, sending (leased by a notifier), sent, failed (given up), in_doubt (a person decides whether it arrived) or cancelled (no longer needed).';
comment on column scooters_ops.notification_deliveries.attempts is
'How often it was tried (a count).';
comment on column scooters_ops.notification_deliveries.last_error is
'Why the last failed attempt failed.';
comment on column scooters_ops.notification_deliveries.reference is
'How the channel identifies it: id of the message, key of the ticket.';
comment on column scooters_ops.notification_deliveries.created_at is
'When the notification was inserted.';
comment on column scooters_ops.notification_deliveries.next_attempt_at is
'When it is tried next; null unless it is pending.';
comment on column scooters_ops.notification_deliveries.sent_at is
'When it was sent; null: not yet.';

grant select on scooters_ops.notification_deliveries
to scooters_ops_analyst, scooters_ops_notifier;
