-- When does the channel count these messages?
-- A message that was leased some time ago may have arrived just now, so the rate limits
-- count it from its result on, and no longer from its lease. We assume that the oldest
-- messages in flight are answered first. A message whose attempt was given back does
-- not count.
create or replace function scooters_ops.restart_rate_limits(results jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
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

    -- granted_at lists answered messages before those in flight: answered_until counts
    -- the former, messages those of them that are answered now.
    arrived as (
        select
            known.channel,
            known.address,
            known.granted_at,
            places.answered_until,
            least(answered.messages, places.answered_until) as messages,
            answered.attempts
        from scooters_ops.delivery_targets as known
        inner join answered using (channel, address)
        cross join lateral (
            select
                greatest(cardinality(known.granted_at) - count(*), 0)::integer
                    as answered_until
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
        arrived.granted_at[: arrived.answered_until - arrived.messages]
        || arrived.granted_at[arrived.answered_until + 1 :]
        || array_fill(now(), array[least(arrived.attempts, arrived.messages)])
    from arrived
    where
        known.channel = arrived.channel
        and known.address = arrived.address
        and arrived.messages > 0;
end
$$;

comment on function scooters_ops.restart_rate_limits(jsonb) is
'Makes rate limits count the messages of these results (as in record_deliveries) from now, and no longer from their lease.';

revoke execute on function scooters_ops.restart_rate_limits(jsonb) from public;
