-- Which chats and queues have messages waiting, and how many may each get now?
-- Each address takes one index lookup, however many messages wait for it: a flooded
-- chat costs no more than a quiet one. "limit 1" keeps the planner from reading all
-- rows of delivery_targets.
-- What has no earlier message (alerts, escalations) and follow-ups wait apart.
create or replace function scooters_ops.delivery_queue(
    channel text,
    limits jsonb,
    is_follow_up boolean
)
returns table (
    address text,
    sent_to text,
    moved_to jsonb,
    due_at timestamptz,
    held_until timestamptz,
    opens_at timestamptz,
    free integer
)
language sql stable
begin atomic -- noqa: disable=all
with recursive waiting as (
    -- The recursion starts before the first address: none is empty.
    select
        '' collate "C" as address,
        null::timestamptz as next_attempt_at
    union all
    select further.*
    from waiting
    cross join lateral (
        select
            recipient.address,
            recipient.next_attempt_at
        from scooters_ops.notification_recipients as recipient
        where
            recipient.channel = delivery_queue.channel
            and recipient.state in ('pending', 'sending')
            and (recipient.follows is not null) = delivery_queue.is_follow_up
            and recipient.address > waiting.address
        order by recipient.address, recipient.next_attempt_at
        limit 1
    ) as further
),

addressed as (
    select
        waiting.address,
        waiting.next_attempt_at,
        coalesce(known.moved_address, waiting.address) as sent_to,
        known.moved_to
    from waiting
    left join lateral (
        select
            moved.moved_to,
            moved.moved_address
        from scooters_ops.delivery_targets as moved
        where
            moved.address = waiting.address
            and moved.channel = delivery_queue.channel
        limit 1
    ) as known on true
    where waiting.address <> ''
)

select
    addressed.address,
    addressed.sent_to,
    addressed.moved_to,
    addressed.next_attempt_at,
    target.held_until,
    allowance.opens_at,
    least(
        allowance.free,
        (delivery_queue.limits ->> 'in_flight_per_target')::integer - in_flight.messages
    )
from addressed
left join lateral (
    select
        known.held_until,
        known.granted_at
    from scooters_ops.delivery_targets as known
    where
        known.address = addressed.sent_to
        and known.channel = delivery_queue.channel
    limit 1
) as target on true
cross join lateral scooters_ops.rate_limit_status(
    target.granted_at,
    scooters_ops.target_rate_limits(delivery_queue.limits, addressed.sent_to)
) as allowance
cross join lateral (
    select count(*)::integer as messages
    from scooters_ops.notification_recipients as recipient
    where
        recipient.channel = delivery_queue.channel
        and recipient.address = addressed.address
        and recipient.state = 'sending'
        and recipient.next_attempt_at > now()
) as in_flight;
end; -- noqa: enable=all

comment on function scooters_ops.delivery_queue(text, jsonb, boolean) is
'The addresses (chats, queues) of a channel for which messages wait: follow-ups, or all others. sent_to: the address after a move; moved_to: the fields of the target that the move changed; due_at: when the first message is or was due; held_until: when a hold ends; opens_at: when the rate limits allow the next message; free: how many more messages may be sent now (a count; null: no limit).';

revoke execute on function scooters_ops.delivery_queue(text, jsonb, boolean)
from public;
