-- What do these results say of their channels, chats and queues?
-- A channel that refuses us is held for longer each time, as notifier.retry says; those
-- that were refused together count once. The first answer that proves that our
-- credentials are accepted ends it, be it a refusal of that one message.
create or replace function scooters_ops.note_channels(results jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- The channel as a whole comes first, as for whoever leases: one of the two waits,
    -- and nobody deadlocks.
    perform
    from scooters_ops.delivery_targets
    where
        address = ''
        and channel in (
            select recipient.channel
            from jsonb_to_recordset(results) as result (recipient_id bigint)
            inner join scooters_ops.notification_recipients as recipient
                using (recipient_id)
        )
    order by channel
    for update;

    -- What was leased some time ago may have arrived just now: limits count from here.
    -- It was the oldest of what was in flight. What gave its attempt back counts no more.
    with answered as (
        select
            recipient.channel,
            place.address,
            count(*)::integer as messages,
            (count(*) filter (where result.is_attempt))::integer as attempts
        from jsonb_to_recordset(results) as result (
            recipient_id bigint,
            is_attempt boolean
        )
        inner join scooters_ops.notification_recipients as recipient using (recipient_id)
        left join scooters_ops.delivery_targets as moved
            on
                moved.address = recipient.address
                and moved.channel = recipient.channel
        cross join lateral (
            values
            (''),
            (coalesce(moved.moved_address, recipient.address))
        ) as place (address)
        group by recipient.channel, place.address
    ),

    -- Up to which place what is known to have arrived goes, and how much of it is new.
    arrived as (
        select
            known.channel,
            known.address,
            known.granted_at,
            places.until_place,
            least(answered.messages, places.until_place) as messages,
            answered.attempts
        from scooters_ops.delivery_targets as known
        inner join answered using (channel, address)
        cross join lateral (
            select
                greatest(cardinality(known.granted_at) - count(*), 0)::integer
                    as until_place
            from scooters_ops.notification_recipients as recipient
            where
                recipient.channel = known.channel
                and known.address in ('', recipient.address)
                and recipient.state = 'sending'
                and recipient.next_attempt_at > now()
        ) as places
    )

    update scooters_ops.delivery_targets as known
    set
        granted_at =
        arrived.granted_at[: arrived.until_place - arrived.messages]
        || arrived.granted_at[arrived.until_place + 1 :]
        || array_fill(now(), array[least(arrived.attempts, arrived.messages)])
    from arrived
    where
        known.channel = arrived.channel
        and known.address = arrived.address
        and arrived.messages > 0;

    with said as (
        select
            recipient.channel,
            max(result.error) filter (where result.is_channel_refused) as refusal
        from jsonb_to_recordset(results) as result (
            recipient_id bigint,
            state text,
            error text,
            is_channel_refused boolean,
            is_channel_accepted boolean
        )
        inner join scooters_ops.notification_recipients as recipient using (recipient_id)
        where
            result.state = 'sent'
            or result.is_channel_refused
            or result.is_channel_accepted
        group by recipient.channel
    )

    update scooters_ops.delivery_targets as known
    set
        failures = case when said.refusal is null then 0 else known.failures + 1 end,
        hold_reason = said.refusal,
        held_until = case
            when said.refusal is not null then now() + make_interval(
                secs => least(
                    (policy.retry ->> 'max_seconds')::double precision,
                    (policy.retry ->> 'first_seconds')::double precision
                    * (policy.retry ->> 'factor')::double precision
                    ^ least(known.failures, 100)
                )
            )
        end
    from said
    cross join (
        select config -> 'notifier' -> 'retry' as retry
        from scooters_ops.config_in_force
    ) as policy
    where
        known.channel = said.channel
        and known.address = ''
        and case
            when said.refusal is null then known.failures > 0
            else coalesce(known.held_until <= now(), true)
        end;

    insert into scooters_ops.delivery_targets as known (
        channel, address, held_until, hold_reason, moved_to
    )
    select
        recipient.channel,
        place.address,
        now() + make_interval(secs => max(result.hold_seconds)),
        max(result.error),
        max(result.moved_to::text)::jsonb
    from jsonb_to_recordset(results) as result (
        recipient_id bigint,
        error text,
        hold_seconds double precision,
        moved_to jsonb
    )
    inner join scooters_ops.notification_recipients as recipient using (recipient_id)
    left join scooters_ops.delivery_targets as moved
        on
            moved.channel = recipient.channel
            and moved.address = recipient.address
    cross join lateral (
        select
            case
                when result.moved_to is null
                    then coalesce(moved.moved_address, recipient.address)
                else recipient.address
            end as address
    ) as place
    where result.hold_seconds > 0 or result.moved_to is not null
    group by recipient.channel, place.address
    order by place.address, recipient.channel
    on conflict (address, channel) do update
    set
        held_until = greatest(known.held_until, excluded.held_until),
        hold_reason = coalesce(excluded.hold_reason, known.hold_reason),
        moved_to = coalesce(excluded.moved_to, known.moved_to);
end
$$;

comment on function scooters_ops.note_channels(jsonb) is
'Keeps what results, as in record_deliveries, say of channels, chats and queues: holds, refusals and moves.';

revoke execute on function scooters_ops.note_channels(jsonb) from public;
