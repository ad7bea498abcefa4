-- What was said of each notification, to whom, and what is still to be said?
-- The columns keep the database's collation: analysts' views depend on this one, and a
-- view cannot change the collation of a column.
create or replace view scooters_ops.notification_steps as
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
    case  -- noqa: RF02
        when holding.silence_id is not null then 'silenced' else recipient.state
    end collate "default" as state,  -- noqa: RF02,RF03
    recipient.attempts,
    recipient.last_error,
    recipient.reference,
    notification.created_at,
    case when recipient.state = 'pending' then recipient.next_attempt_at end
        as next_attempt_at,
    recipient.sent_at,
    recipient.recipient_id,
    recipient.step collate "default" as step,  -- noqa: RF02,RF03
    recipient.follows,
    recipient.created_at as decided_at
from scooters_ops.notification_recipients as recipient
inner join scooters_ops.monitoring_notifications as notification
    using (notification_id)
left join scooters_ops.active_silences as holding
    on
        recipient.silence_id = holding.silence_id
        and recipient.state = 'pending'
        and recipient.attempts = 0
        and recipient.step = 'alert'
where notification.type::text <> 'test';

comment on view scooters_ops.notification_steps is
'Each step of each notification for each of its recipients, and the state of its delivery.';
comment on column scooters_ops.notification_steps.notification_id is
'Number of the notification.';
comment on column scooters_ops.notification_steps.idempotency_token is
'Token of the notification: mission, point, job and type.';
comment on column scooters_ops.notification_steps.type is
'timeout_in_point, timeout_between_points or job_skipped.';
comment on column scooters_ops.notification_steps.mission_id is
'The mission.';
comment on column scooters_ops.notification_steps.point_id is
'The point.';
comment on column scooters_ops.notification_steps.job_id is
'The skipped job; null for timeouts.';
comment on column scooters_ops.notification_steps.channel is
'The channel: telegram, st, ...';
comment on column scooters_ops.notification_steps.target is
'The recipient as the routes named it (JSON object).';
comment on column scooters_ops.notification_steps.sended is
'Whether this step was sent.';
comment on column scooters_ops.notification_steps.state is
'pending, silenced (an alert that a silence holds until next_attempt_at), waiting (for the message that it follows, or for the outcome of the message that tells of it together with others), sending (leased by a notifier), sent, failed (given up), in_doubt (a person decides whether it arrived) or cancelled (no longer needed, because the notification was acknowledged, or resolved, an alert while a silence held it).';
comment on column scooters_ops.notification_steps.attempts is
'How often it was tried (a count).';
comment on column scooters_ops.notification_steps.last_error is
'Why the last failed attempt failed.';
comment on column scooters_ops.notification_steps.reference is
'How the channel identifies it: id of the message, key of the ticket.';
comment on column scooters_ops.notification_steps.created_at is
'When the notification was inserted.';
comment on column scooters_ops.notification_steps.next_attempt_at is
'When it is tried next; null unless it is pending.';
comment on column scooters_ops.notification_steps.sent_at is
'When it was sent; null: not yet.';
comment on column scooters_ops.notification_steps.recipient_id is
'Number of the step.';
comment on column scooters_ops.notification_steps.step is
'alert; escalation_N (level N); reminder_N; acknowledged and resolved: a message that was sent shows who takes care, or how it ended. Where one recipient has several messages, the name of the step whose message it is follows: resolved_reminder_1.';
comment on column scooters_ops.notification_steps.follows is
'Number (recipient_id) of the step whose message this one changes or answers; null: it is a message of its own.';
comment on column scooters_ops.notification_steps.decided_at is
'When the step was decided.';

grant select on scooters_ops.notification_steps
to scooters_ops_analyst, scooters_ops_notifier;
