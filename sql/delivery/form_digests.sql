-- Which alerts go together as one message?
-- Where more alerts than channels.X.digest_above are due for one target, the oldest of
-- them becomes the leader: its row alone is queued, leased and sent, while the others,
-- its members, wait for its outcome. Alerts that were acknowledged or resolved
-- meanwhile make a digest of their own. An alert that may have been sent joins none,
-- and a test is always a message of its own.
-- lease_deliveries calls this first, with the channel's row locked, and dissolves at
-- once what it could not lease: no other session sees a digest that was not leased, and
-- whatever is due at the next lease makes the next digest. So this looks only where a
-- message may be sent now, at the oldest alerts of an address.
-- A leader is due a microsecond earlier than it was: before the alerts that it was not
-- told of.
create or replace function scooters_ops.form_digests(
    slots jsonb,
    channels text[],
    out leader_ids bigint[],
    out crowded jsonb
)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    most_alerts constant integer := 1000;
begin
    with open_channel as materialized (
        select
            setting.channel,
            setting.digest_above,
            greatest(most_alerts, setting.digest_above + 1) as most_alerts,
            allowed.limits,
            least((slots ->> setting.channel)::integer, allowed.free) as free
        from scooters_ops.digest_limits() as setting
        left join scooters_ops.delivery_channels as allowed using (channel)
        where
            setting.channel = any(channels)
            and slots ? setting.channel
            and coalesce(allowed.held_until <= now(), true)
    ),

    due as materialized (
        select
            open_channel.channel,
            open_channel.digest_above,
            open_channel.most_alerts,
            open_channel.free,
            queue.address,
            waiting.*
        from open_channel
        cross join lateral scooters_ops.delivery_queue(
            open_channel.channel, open_channel.limits, false
        ) as queue
        cross join lateral (
            select
                recipient.recipient_id,
                recipient.notification_id,
                recipient.target,
                recipient.next_attempt_at
            from scooters_ops.notification_recipients as recipient
            where
                recipient.channel = open_channel.channel
                and recipient.address = queue.address
                and (recipient.follows is not null) = false
                and recipient.state in ('pending', 'sending')
                and recipient.state = 'pending'
                and recipient.step = 'alert'
                and recipient.next_attempt_at <= now()
                and recipient.digest_id is null
                and not recipient.is_taken_over
            order by recipient.next_attempt_at
            limit open_channel.most_alerts
            for update skip locked
        ) as waiting
        where
            open_channel.free > 0
            and queue.due_at <= now()
            and coalesce(queue.held_until <= now(), true)
            and coalesce(queue.free > 0, true)
            -- Where few wait, none of them has to be locked.
            and (
                select count(*)
                from (
                    select
                    from scooters_ops.notification_recipients as recipient
                    where
                        recipient.channel = open_channel.channel
                        and recipient.address = queue.address
                        and (recipient.follows is not null) = false
                        and recipient.state in ('pending', 'sending')
                        and recipient.next_attempt_at <= now()
                    order by recipient.next_attempt_at
                    limit open_channel.digest_above + 1
                ) as few
            ) > open_channel.digest_above
    ),

    team as (
        select
            due.*,
            count(*) over (
                partition by due.channel, due.target, settled.is_settled
            ) as alerts,
            first_value(due.recipient_id) over (
                partition by due.channel, due.target, settled.is_settled
                order by due.next_attempt_at, due.recipient_id
            ) as leader_id,
            min(due.next_attempt_at) over (
                partition by due.channel, due.target, settled.is_settled
            ) as first_due_at
        from due
        inner join scooters_ops.monitoring_notifications as notification
            on due.notification_id = notification.notification_id
        cross join lateral (
            select
                notification.resolved_at is not null
                or notification.acknowledged_at is not null as is_settled
        ) as settled
        where notification.type <> 'test'
    ),

    crowd as (
        select
            team.*,
            dense_rank() over (
                partition by team.channel order by team.first_due_at, team.leader_id
            ) as place
        from team
        where team.alerts > team.digest_above
    ),

    formed as (
        update scooters_ops.notification_recipients as recipient
        set
            digest_id = crowd.leader_id,
            state = case
                when recipient.recipient_id = crowd.leader_id then 'pending'
                else 'waiting'
            end,
            next_attempt_at = case
                when recipient.recipient_id = crowd.leader_id
                    then recipient.next_attempt_at - interval '1 microsecond'
                else recipient.next_attempt_at
            end
        from crowd
        where
            recipient.recipient_id = crowd.recipient_id
            and crowd.place <= crowd.free
        returning
            recipient.recipient_id,
            recipient.digest_id
    ),

    -- Where more alerts wait than were looked at, those must not go one by one.
    full_address as (
        select
            due.channel,
            due.address,
            count(*) filter (
                where formed.digest_id is null or formed.digest_id = formed.recipient_id
            ) as messages
        from due
        left join formed on due.recipient_id = formed.recipient_id
        group by due.channel, due.address
        having count(*) >= min(due.most_alerts) and count(formed.digest_id) > 0
    )

    select
        (
            select array_agg(formed.digest_id)
            from formed
            where formed.digest_id = formed.recipient_id
        ),
        (
            select jsonb_object_agg(by_channel.channel, by_channel.messages)
            from (
                select
                    full_address.channel,
                    jsonb_object_agg(full_address.address, full_address.messages)
                        as messages
                from full_address
                group by full_address.channel
            ) as by_channel
        )
    into
        leader_ids,
        crowded;
end
$$;

comment on function scooters_ops.form_digests(jsonb, text[]) is
'Makes digests of the alerts that are due, for these channels as far as they have slots and config says so. leader_ids: the recipients whose messages tell of them, null: there are none; crowded: where more alerts wait than it looked at, how many messages go there at most, {channel: {address: count}}. To be called by lease_deliveries, which has locked the channels.';

revoke execute on function scooters_ops.form_digests(jsonb, text[]) from public;
