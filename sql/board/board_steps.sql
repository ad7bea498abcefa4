-- Who was told of these notifications, and who is next unless somebody acknowledges?
-- Plain SQL, so that the planner inlines it: one look-up for all of them. A follow-up
-- that only changes a message is left out, unless it has failed.
create or replace function scooters_ops.board_steps(notification_ids bigint[])
returns table (notification_id bigint, recipients json, next_step json)
language sql stable
begin atomic -- noqa: disable=all
select
    delivery.notification_id,
    json_agg(
        json_build_object(
            'step', delivery.step,
            'channel', delivery.channel,
            'address', delivery.address,
            'target', delivery.target,
            'state', case
                when delivery.is_held then 'silenced'
                else scooters_ops.delivery_state(
                    delivery.state, delivery.is_blocked, delivery.attempts
                )
            end,
            'until', case when delivery.is_held then delivery.next_attempt_at end,
            'attempts', delivery.attempts,
            'error', delivery.last_error,
            'reference', delivery.reference,
            'sent_to', delivery.sent_to,
            'since', delivery.created_at,
            'sent_at', delivery.sent_at
        )
        order by delivery.channel, delivery.recipient_id
    ) filter (where delivery.is_shown) as recipients,
    case when min(delivery.next_at) is not null then json_build_object(
        'at', min(delivery.next_at),
        'recipients', json_agg(
            json_build_object(
                'step', delivery.step,
                'channel', delivery.channel,
                'address', delivery.address
            )
            order by delivery.channel, delivery.recipient_id
        ) filter (where delivery.is_ahead and delivery.next_attempt_at = delivery.next_at)
    ) end as next_step
from (
    select
        recipient.*,
        kind.is_ahead,
        recipient.silence_id is not null
        and recipient.step = 'alert'
        and recipient.state = 'pending'
        and recipient.attempts = 0
        and exists (
            select
            from scooters_ops.active_silences as holding
            where holding.silence_id = recipient.silence_id
        ) as is_held,
        recipient.step = 'alert'
        or case
            when kind.is_telling
                then not kind.is_ahead and recipient.state <> 'cancelled'
            else recipient.state in ('failed', 'in_doubt') or recipient.is_blocked
        end as is_shown,
        min(recipient.next_attempt_at) filter (where kind.is_ahead) over (
            partition by recipient.notification_id
        ) as next_at
    from scooters_ops.notification_recipients as recipient
    cross join lateral (
        select
            recipient.step ~ '^(escalation|reminder)_' as is_telling,
            recipient.step ~ '^(escalation|reminder)_'
            and recipient.attempts = 0
            and not recipient.is_blocked
            and recipient.state in ('pending', 'waiting')
            and isfinite(recipient.next_attempt_at) as is_ahead
    ) as kind
    where recipient.notification_id = any(notification_ids)
) as delivery
group by delivery.notification_id;
end; -- noqa: enable=all

comment on function scooters_ops.board_steps(bigint[]) is
'Of these notifications: whom it was or is being sent to, an object for each step (JSON array; states as in delivery_status), and the earliest escalation or reminder that is still to come (JSON object with the time, at, and recipients; null: there is none).';

revoke execute on function scooters_ops.board_steps(bigint[]) from public;
