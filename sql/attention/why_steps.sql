-- What became of each message about a notification, and what does it wait for?
-- The state is that of notification_steps.
create or replace function scooters_ops.why_steps(notification_id bigint)
returns table (recipient_id bigint, step text, state text, reason text, facts jsonb)
language sql stable
begin atomic -- noqa: disable=all
with config as materialized (
    select
        in_force.config -> 'channels' as channels,
        exists (
            select
            from scooters_ops.notifiers as notifier
            where
                abs(extract(epoch from now() - notifier.seen_at))
                <= extract(epoch from in_force.notifier_missing_after)
        ) as is_notifier_alive
    from scooters_ops.config_in_force as in_force
),

told as (
    select
        recipient.*,
        coalesce(moved.moved_address, recipient.address) as goes_to,
        notification.acknowledged_at,
        notification.resolved_at,
        holding.silence_id is not null as is_silenced,
        silence.created_by as silenced_by
    from scooters_ops.notification_recipients as recipient
    inner join scooters_ops.monitoring_notifications as notification
        on recipient.notification_id = notification.notification_id
    left join scooters_ops.silences as silence
        on recipient.silence_id = silence.silence_id
    left join scooters_ops.active_silences as holding
        on
            recipient.silence_id = holding.silence_id
            and recipient.state = 'pending'
            and recipient.attempts = 0
            and recipient.step = 'alert'
    left join lateral (
        select known.moved_address
        from scooters_ops.delivery_targets as known
        where
            known.channel = recipient.channel
            and known.address = recipient.address
        limit 1
    ) as moved on true
    where recipient.notification_id = why_steps.notification_id
),

waiting as (
    select
        told.*,
        whole.held_until as channel_held_until,
        whole.hold_reason as channel_hold_reason,
        place.held_until as address_held_until,
        place.hold_reason as address_hold_reason,
        greatest(channel_limit.opens_at, address_limit.opens_at) as opens_at
    from told
    left join lateral (
        select case
            when told.follows is null then set_limits.limits
            else scooters_ops.follow_up_limits(set_limits.limits)
        end as limits
        from (
            select nullif(config.channels -> told.channel -> 'limits', 'null') as limits
            from config
            where jsonb_typeof(config.channels -> told.channel) = 'object'
        ) as set_limits
    ) as setting on told.state = 'pending'
    -- "limit 1" keeps the planner from reading all rows of delivery_targets.
    left join lateral (
        select known.*
        from scooters_ops.delivery_targets as known
        where
            known.channel = told.channel
            and known.address = ''
        limit 1
    ) as whole on told.state = 'pending'
    left join lateral (
        select known.*
        from scooters_ops.delivery_targets as known
        where
            known.channel = told.channel
            and known.address = told.goes_to
            and known.address <> ''
        limit 1
    ) as place on told.state = 'pending'
    left join lateral scooters_ops.rate_limit_status(
        whole.granted_at, setting.limits -> 'per_channel'
    ) as channel_limit on told.state = 'pending'
    left join lateral scooters_ops.rate_limit_status(
        place.granted_at,
        scooters_ops.target_rate_limits(setting.limits, told.goes_to)
    ) as address_limit on told.state = 'pending'
)

select
    waiting.recipient_id,
    waiting.step,
    case when waiting.is_silenced then 'silenced' else waiting.state end,
    found.reason,
    jsonb_build_object(
        'channel', waiting.channel,
        'address', coalesce(waiting.sent_to, waiting.goes_to)
    ) || case found.reason
        when 'step_sent' then jsonb_build_object(
            'sent_at', waiting.sent_at, 'reference', waiting.reference
        )
        when 'step_shown' then jsonb_build_object(
            'sent_at', waiting.sent_at, 'reference', waiting.reference
        )
        when 'step_sent_digest' then jsonb_build_object(
            'sent_at', waiting.sent_at, 'reference', waiting.reference
        )
        when 'step_silenced' then jsonb_build_object(
            'until_at', waiting.next_attempt_at,
            'silence_id', waiting.silence_id
        )
        when 'step_failed' then jsonb_build_object(
            'attempts', waiting.attempts, 'error', waiting.last_error
        )
        when 'step_in_doubt' then jsonb_build_object('error', waiting.last_error)
        when 'step_sending' then jsonb_build_object('until_at', waiting.next_attempt_at)
        when 'step_blocked' then jsonb_build_object('error', waiting.last_error)
        when 'step_retrying' then jsonb_build_object(
            'attempts', waiting.attempts,
            'error', waiting.last_error,
            'due_at', waiting.next_attempt_at
        )
        when 'step_later' then jsonb_build_object('due_at', waiting.next_attempt_at)
        when 'step_channel_held' then jsonb_build_object(
            'until_at', waiting.channel_held_until,
            'error', waiting.channel_hold_reason
        )
        when 'step_address_held' then jsonb_build_object(
            'until_at', waiting.address_held_until,
            'error', waiting.address_hold_reason
        )
        when 'step_limited' then jsonb_build_object('until_at', waiting.opens_at)
        when 'step_no_notifier' then jsonb_build_object(
            'due_at', waiting.next_attempt_at
        )
        when 'step_due' then jsonb_build_object('due_at', waiting.next_attempt_at)
        when 'step_cancelled_silenced' then jsonb_build_object(
            'silence_id', waiting.silence_id, 'resolved_at', waiting.resolved_at
        )
        when 'step_cancelled_acknowledged' then jsonb_build_object(
            'acknowledged_at', waiting.acknowledged_at
        )
        when 'step_cancelled_resolved' then jsonb_build_object(
            'resolved_at', waiting.resolved_at
        )
        else '{}'
    end
from waiting
cross join config
cross join lateral (
    select case
        when waiting.is_silenced then 'step_silenced'
        when waiting.state = 'sent' and waiting.digest_id is not null
            then 'step_sent_digest'
        when waiting.state = 'sent' and waiting.step ~ '^(acknowledged|resolved)'
            then 'step_shown'
        when waiting.state = 'sent' then 'step_sent'
        when waiting.state = 'failed' then 'step_failed'
        when waiting.state = 'in_doubt' then 'step_in_doubt'
        when waiting.state = 'sending' then 'step_sending'
        when waiting.state = 'waiting' and waiting.digest_id is not null
            then 'step_waits_digest'
        when waiting.state = 'waiting' then 'step_waits_message'
        when waiting.state = 'cancelled' and waiting.step = 'alert'
            then 'step_cancelled_silenced'
        when
            waiting.state = 'cancelled'
            and waiting.step ~ '^(escalation|reminder)_'
            and waiting.acknowledged_at is not null
            then 'step_cancelled_acknowledged'
        when waiting.state = 'cancelled' and waiting.resolved_at is not null
            then 'step_cancelled_resolved'
        when waiting.state = 'cancelled' then 'step_cancelled'
        when waiting.is_blocked then 'step_blocked'
        when waiting.attempts > 0 then 'step_retrying'
        when waiting.next_attempt_at > now() then 'step_later'
        when waiting.channel_held_until > now() then 'step_channel_held'
        when waiting.address_held_until > now() then 'step_address_held'
        when not config.is_notifier_alive then 'step_no_notifier'
        when waiting.opens_at > now() then 'step_limited'
        else 'step_due'
    end as reason
) as found;
end; -- noqa: enable=all

comment on function scooters_ops.why_steps(bigint) is
'Each step of this notification for each of its recipients, its state as in notification_steps, and why it is in that state: reason and facts, as in why_facts().';

revoke execute on function scooters_ops.why_steps(bigint) from public;
