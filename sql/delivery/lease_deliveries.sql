-- Which messages may this notifier send now?
-- Each channel gives at most as many rows as it has slots and its limits allow, and
-- each chat or queue at most its fair share, so that a crowd at one does not delay
-- another.
-- An expired lease comes back as in doubt, because its holder may have sent the message
-- before it died. A worker does not get its own expired lease back: it knows what it
-- sent, and renews the lease or gives it back.
-- The function locks the channel's row for a few milliseconds, so that the next caller
-- counts the messages that this one was granted.
-- Without the settings below the planner would read whole tables: it cannot know how
-- few the slots are.
create or replace function scooters_ops.lease_deliveries(
    worker text,
    slots jsonb,
    lease_seconds double precision
)
returns table (
    recipient_id bigint,
    channel text,
    target jsonb,
    attempts integer,
    is_in_doubt boolean,
    idempotency_token text,
    type scooters_ops.monitoring_notification_type,
    mission_id text,
    point_id text,
    job_id text,
    details jsonb,
    waited interval,
    idempotency_key text
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
begin
    perform scooters_ops.adjust_for_clock_step();

    perform
    from scooters_ops.delivery_targets as known
    where
        known.address = ''
        and known.channel in (select jsonb_object_keys(slots))
    order by known.channel
    for update;

    return query
    with open_channel as materialized (
        select
            slot.channel,
            allowed.limits,
            least(slot.free::integer, allowed.free) as free
        from jsonb_each_text(slots) as slot (channel, free)
        left join scooters_ops.delivery_channels as allowed using (channel)
        where coalesce(allowed.held_until <= now(), true)
    ),

    open_address as (
        select
            open_channel.channel,
            open_channel.limits,
            open_channel.free as channel_free,
            queue.address,
            queue.sent_to,
            queue.moved_to,
            queue.free,
            ceil(
                open_channel.free::numeric
                / count(*) over (partition by open_channel.channel)
            ) as share
        from open_channel
        cross join lateral scooters_ops.delivery_queue(
            open_channel.channel, open_channel.limits
        ) as queue
        where
            open_channel.free > 0
            and queue.due_at <= now()
            and coalesce(queue.held_until <= now(), true)
            and coalesce(queue.free > 0, true)
    ),

    candidate as (
        select
            open_address.channel,
            open_address.limits,
            open_address.channel_free,
            open_address.sent_to,
            open_address.moved_to,
            waiting.recipient_id,
            waiting.notification_id,
            waiting.next_attempt_at as due_at,
            waiting.is_in_doubt,
            row_number() over (
                partition by open_address.channel
                order by waiting.next_attempt_at, waiting.recipient_id
            ) as place
        from open_address
        cross join lateral (
            select
                recipient.recipient_id,
                recipient.notification_id,
                recipient.next_attempt_at,
                recipient.state = 'sending' or recipient.is_taken_over as is_in_doubt
            from scooters_ops.notification_recipients as recipient
            where
                recipient.channel = open_address.channel
                and recipient.address = open_address.address
                and recipient.state in ('pending', 'sending')
                and recipient.next_attempt_at <= now()
                and recipient.leased_by is distinct from worker
            order by recipient.next_attempt_at
            limit least(open_address.free, open_address.share)
            for update skip locked
        ) as waiting
    ),

    granted as materialized (
        select *
        from candidate
        where place <= channel_free
    ),

    leased as (
        update scooters_ops.notification_recipients as recipient
        set
            state = 'sending',
            attempts = recipient.attempts + 1,
            leased_by = worker,
            is_taken_over = granted.is_in_doubt,
            next_attempt_at = now() + make_interval(secs => lease_seconds),
            idempotency_key = coalesce(
                recipient.idempotency_key,
                scooters_ops.delivery_key(
                    notification.idempotency_token,
                    recipient.channel,
                    recipient.target,
                    'alert'
                )
            )
        from granted
        inner join scooters_ops.monitoring_notifications as notification
            on notification.notification_id = granted.notification_id
        where recipient.recipient_id = granted.recipient_id
        returning
            recipient.recipient_id,
            recipient.channel,
            recipient.target || coalesce(granted.moved_to, '{}') as target,
            recipient.attempts,
            granted.is_in_doubt,
            notification.idempotency_token,
            notification.type,
            notification.mission_id,
            notification.point_id,
            notification.job_id,
            notification.details,
            greatest(now() - notification.created_at, '0') as waited,
            recipient.idempotency_key
    ),

    -- Of earlier grants only as many are kept as the rules can count. By leased_at and
    -- leased_due_at delivery_status finds what was passed over.
    counted as (
        insert into scooters_ops.delivery_targets as known (
            channel, address, granted_at, leased_at, leased_due_at
        )
        select
            bucket.channel,
            bucket.address,
            (
                coalesce(earlier.granted_at, '{}')
                || array_fill(now(), array[bucket.messages])
            )[
                coalesce(cardinality(earlier.granted_at), 0)
                + bucket.messages
                - counting.messages
                + 1 :
            ],
            now(),
            bucket.due_at
        from (
            select
                granted.channel,
                rule_set.address,
                rule_set.rules,
                count(*)::integer as messages,
                max(granted.due_at) as due_at
            from granted
            cross join lateral (
                values
                ('', granted.limits -> 'per_channel'),
                (
                    granted.sent_to,
                    granted.limits -> 'per_target'
                    || coalesce(granted.limits -> 'per_group', '[]')
                )
            ) as rule_set (address, rules)
            group by granted.channel, rule_set.address, rule_set.rules
        ) as bucket
        cross join lateral (
            select coalesce(max(listed.messages), 1) as messages
            from jsonb_to_recordset(bucket.rules) as listed (messages integer)
        ) as counting
        left join scooters_ops.delivery_targets as earlier using (channel, address)
        order by bucket.address, bucket.channel
        on conflict (address, channel) do update
        set
            granted_at = excluded.granted_at,
            leased_at = excluded.leased_at,
            leased_due_at = excluded.leased_due_at
    )

    select leased.*
    from leased
    order by leased.recipient_id;
end
$$;

comment on function scooters_ops.lease_deliveries(text, jsonb, double precision) is
'Leases due recipients to a worker for lease_seconds. slots ({"telegram": 20}) says how many rows of each channel at most; limits and holds of the channel and of its chats and queues may allow fewer. target: where to send it, after a move as well; attempts: how often it was tried, this attempt included; is_in_doubt: an earlier lease expired, so that the message may have been sent; waited: how long ago the notification was inserted; idempotency_key: the key for the channel, the same with every attempt.';

revoke execute on function scooters_ops.lease_deliveries(text, jsonb, double precision)
from public;
grant execute on function scooters_ops.lease_deliveries(text, jsonb, double precision)
to scooters_ops_notifier;
