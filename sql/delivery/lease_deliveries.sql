-- Which messages may this notifier send now?
-- Each channel gives at most as many rows as it has slots and its limits allow, and
-- each chat or queue at most its fair share, so that a crowd at one does not delay
-- another. For each of these escalations go first, then alerts, then follow-ups, of
-- each the oldest first; follow-ups may use half of each limit and of the slots.
-- An expired lease comes back as in doubt, because its holder may have sent the message
-- before it died. A worker does not get its own expired lease back: it knows what it
-- sent, and renews the lease or gives it back.
-- A notifier of an earlier version knows alerts alone: it would send an edit as a new
-- message. It does not say follow_up_slots.
-- One that does not name a channel for digests gets none of them, nor a change of one.
-- A digest that may have been sent waits for those that do.
-- An escalation or reminder of what has been acknowledged or resolved meanwhile is
-- cancelled here, unless it may have been sent, and so is one that an outage has held
-- up for so long that it is no longer news. A change of a message waits while another
-- change of it is in flight, or the older one might arrive last.
-- The function locks the channel's row for a few milliseconds, so that the next caller
-- counts the messages that this one was granted.
-- Without the settings below the planner would read whole tables, since it cannot know
-- how few the slots are, and would plan each lease again, which takes as long as the
-- lease itself.
create or replace function scooters_ops.lease_deliveries(
    worker text,
    slots jsonb,
    lease_seconds double precision,
    follow_up_slots jsonb default null,
    digest_channels text[] default '{}'
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
    idempotency_key text,
    step text,
    earlier jsonb,
    told jsonb,
    notification_id bigint,
    as_of timestamptz,
    resolved_at timestamptz,
    resolution text,
    ended_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    button text,
    silenced jsonb,
    digest jsonb
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
    leader_ids bigint[];
    crowded jsonb;
begin
    perform scooters_ops.adjust_for_clock_step();

    perform
    from scooters_ops.delivery_targets as known
    where
        known.address = ''
        and known.channel in (select jsonb_object_keys(slots))
    order by known.channel
    for update;

    if
        cardinality(digest_channels) > 0
        and exists (select from scooters_ops.digest_limits())
    then
        select
            formed.leader_ids,
            formed.crowded
        into
            leader_ids,
            crowded
        from scooters_ops.form_digests(slots, digest_channels) as formed;
    end if;

    return query
    with open_channel as materialized (
        select
            slot.channel,
            allowed.limits,
            class.is_follow_up,
            class.limits as class_limits,
            class.free,
            allowed.held_until,
            allowed.last_granted_at
        from jsonb_each_text(slots) as slot (channel, slots)
        left join scooters_ops.delivery_channels as allowed using (channel)
        cross join lateral (
            values
            (false, allowed.limits, least(slot.slots::integer, allowed.free)),
            (
                true,
                scooters_ops.follow_up_limits(allowed.limits),
                least(
                    coalesce((follow_up_slots ->> slot.channel)::integer, 0),
                    allowed.free_for_follow_ups
                )
            )
        ) as class (is_follow_up, limits, free)
        where coalesce(allowed.held_until <= now(), true)
    ),

    open_address as (
        select
            open_channel.channel,
            open_channel.limits,
            open_channel.is_follow_up,
            open_channel.free as channel_free,
            queue.address,
            queue.sent_to,
            queue.moved_to,
            queue.free,
            greatest(open_channel.held_until, queue.held_until) as held_until,
            open_channel.last_granted_at,
            ceil(
                open_channel.free::numeric
                / count(*) over (
                    partition by open_channel.channel, open_channel.is_follow_up
                )
            ) as share
        from open_channel
        cross join lateral scooters_ops.delivery_queue(
            open_channel.channel, open_channel.class_limits, open_channel.is_follow_up
        ) as queue
        where
            open_channel.free > 0
            and queue.due_at <= now()
            and coalesce(queue.held_until <= now(), true)
            and coalesce(queue.free > 0, true)
    ),

    -- Follow-ups are counted after all others, so that together they keep to the limits.
    candidate as (
        select
            open_address.channel,
            open_address.limits,
            open_address.channel_free,
            open_address.free as address_free,
            open_address.sent_to,
            open_address.moved_to,
            open_address.held_until,
            open_address.last_granted_at,
            waiting.recipient_id,
            waiting.notification_id,
            waiting.attempts,
            waiting.digest_id,
            waiting.step ~ '^(escalation|reminder)_' as is_optional,
            case when waiting.step ~ '^(acknowledged|resolved)' then waiting.follows end
                as changes_id,
            waiting.next_attempt_at as due_at,
            waiting.is_in_doubt,
            row_number() over (
                partition by open_address.channel
                order by
                    open_address.is_follow_up,
                    waiting.rank,
                    waiting.next_attempt_at,
                    waiting.recipient_id
            ) as place,
            row_number() over (
                partition by open_address.channel, open_address.address
                order by
                    open_address.is_follow_up,
                    waiting.rank,
                    waiting.next_attempt_at,
                    waiting.recipient_id
            ) as place_at_address
        from open_address
        cross join lateral (
            select either.*
            from (
                select escalation.*
                from (
                    select
                        recipient.recipient_id,
                        recipient.notification_id,
                        recipient.attempts,
                        recipient.step,
                        recipient.follows,
                        recipient.digest_id,
                        recipient.next_attempt_at,
                        recipient.state = 'sending' or recipient.is_taken_over as is_in_doubt,
                        0 as rank
                    from scooters_ops.notification_recipients as recipient
                    where
                        recipient.channel = open_address.channel
                        and recipient.address = open_address.address
                        and recipient.step ~ '^escalation_'
                        and recipient.state in ('pending', 'sending')
                        and recipient.next_attempt_at <= now()
                        and recipient.leased_by is distinct from worker
                        and not open_address.is_follow_up
                        and follow_up_slots is not null
                    order by recipient.next_attempt_at
                    limit least(open_address.free, open_address.share)
                    for update skip locked
                ) as escalation
                union all
                select other.*
                from (
                    select
                        recipient.recipient_id,
                        recipient.notification_id,
                        recipient.attempts,
                        recipient.step,
                        recipient.follows,
                        recipient.digest_id,
                        recipient.next_attempt_at,
                        recipient.state = 'sending' or recipient.is_taken_over as is_in_doubt,
                        1 as rank
                    from scooters_ops.notification_recipients as recipient
                    where
                        recipient.channel = open_address.channel
                        and recipient.address = open_address.address
                        and (recipient.follows is not null) = open_address.is_follow_up
                        and recipient.state in ('pending', 'sending')
                        and recipient.next_attempt_at <= now()
                        and recipient.leased_by is distinct from worker
                        and recipient.step !~ '^escalation_'
                        and (recipient.step = 'alert' or follow_up_slots is not null)
                        and (
                            recipient.digest_id is null
                            or recipient.channel = any(digest_channels)
                        )
                    order by recipient.next_attempt_at
                    limit least(
                        open_address.free,
                        open_address.share,
                        case
                            when not open_address.is_follow_up
                                then (
                                    crowded
                                    #>> array[open_address.channel, open_address.address]
                                )::bigint
                        end
                    )
                    for update skip locked
                ) as other
            ) as either
            order by either.rank, either.next_attempt_at
            limit least(open_address.free, open_address.share)
        ) as waiting
    ),

    news as materialized (
        select
            candidate.*,
            notification.idempotency_token,
            notification.type,
            notification.mission_id,
            notification.point_id,
            notification.job_id,
            notification.details,
            notification.created_at,
            notification.resolved_at,
            notification.resolution,
            -- What an earlier version resolved has no such time.
            coalesce(
                notification.ended_at,
                case
                    when notification.resolution in ('moved_on', 'ended') then (
                        select max(recorded.finished_at)
                        from scooters_ops.recorded_intervals as recorded
                        where
                            recorded.mission_id = notification.mission_id
                            and recorded.type = notification.type
                            and recorded.notification_id = notification.notification_id
                    )
                end
            ) as ended_at,
            notification.acknowledged_at,
            notification.acknowledged_by,
            candidate.is_optional
            and not candidate.is_in_doubt
            and (
                notification.resolved_at is not null
                or notification.acknowledged_at is not null
            ) as is_settled,
            candidate.changes_id is not null
            and row_number() over (
                partition by candidate.changes_id order by candidate.recipient_id
            ) > 1 as is_second,
            candidate.changes_id is not null
            and exists (
                select
                from scooters_ops.notification_recipients as sibling
                where
                    sibling.notification_id = candidate.notification_id
                    and sibling.follows = candidate.changes_id
                    and sibling.step ~ '^(acknowledged|resolved)'
                    and sibling.state = 'sending'
                    and sibling.recipient_id <> candidate.recipient_id
            ) as is_after_another,
            candidate.is_optional
            and candidate.attempts = 0
            and coalesce(
                candidate.due_at < now() - (
                    select in_force.notify_within
                    from scooters_ops.config_in_force as in_force
                ),
                false
            ) as is_no_news
        from candidate
        inner join scooters_ops.monitoring_notifications as notification
            on candidate.notification_id = notification.notification_id
        where
            candidate.place <= candidate.channel_free
            and coalesce(candidate.place_at_address <= candidate.address_free, true)
    ),

    granted as materialized (
        select
            news.*,
            news.is_second or news.is_after_another as is_early
        from news
    ),

    -- Whoever records one of these makes due what waits for it. A session that is doing
    -- so already would not see what waits from now on.
    in_flight as materialized (
        select granted.recipient_id
        from granted
        inner join scooters_ops.notification_recipients as sibling
            on
                granted.notification_id = sibling.notification_id
                and granted.changes_id = sibling.follows
                and granted.recipient_id <> sibling.recipient_id
        where
            granted.is_after_another
            and sibling.step ~ '^(acknowledged|resolved)'
            and sibling.state = 'sending'
        for share of sibling skip locked
    ),

    refused as (
        update scooters_ops.notification_recipients as recipient
        set
            state = case
                when not granted.is_early then 'cancelled'
                when
                    granted.is_second
                    or granted.recipient_id in (
                        select in_flight.recipient_id from in_flight
                    )
                    then 'waiting'
                else 'pending'
            end,
            next_attempt_at = case
                when granted.is_early then now() + interval '1 second'
                else recipient.next_attempt_at
            end,
            leased_by = null,
            last_error = case
                when granted.is_no_news and not granted.is_settled
                    then 'due for longer than detection.notify_within_seconds'
                else recipient.last_error
            end
        from granted
        where
            recipient.recipient_id = granted.recipient_id
            and (granted.is_settled or granted.is_no_news or granted.is_early)
    ),

    leased as (
        update scooters_ops.notification_recipients as recipient
        set
            state = 'sending',
            attempts = recipient.attempts + 1,
            leased_by = worker,
            is_taken_over = granted.is_in_doubt,
            delayed_by = case
                when
                    recipient.step = 'alert'
                    and recipient.attempts = 0
                    and granted.due_at < now() - (
                        select in_force.stuck_after
                        from scooters_ops.config_in_force as in_force
                    )
                    then case
                        when
                            granted.held_until - granted.due_at
                            >= now() - granted.held_until
                            then 'on_hold'
                        when granted.last_granted_at > granted.due_at then 'limits'
                        else 'no_notifier'
                    end
                else recipient.delayed_by
            end,
            next_attempt_at = now() + make_interval(secs => lease_seconds),
            idempotency_key = coalesce(
                recipient.idempotency_key,
                scooters_ops.delivery_key(
                    granted.idempotency_token,
                    recipient.channel,
                    recipient.target,
                    recipient.step
                )
            ),
            shows = case
                when granted.digest_id is not null
                    then case
                        when
                            scooters_ops.is_digest_over(granted.digest_id)
                            -- A digest of alerts does not say so as long as one goes on.
                            and not exists (
                                select
                                from scooters_ops.notification_recipients as member
                                inner join scooters_ops.monitoring_notifications as told
                                    on member.notification_id = told.notification_id
                                where
                                    recipient.step = 'alert'
                                    and member.digest_id = granted.digest_id
                                    and member.digest_id is not null
                                    and member.follows is null
                                    and told.resolved_at is null
                                    and told.acknowledged_at is null
                            )
                            then 'resolved'
                    end
                when granted.resolved_at is not null then 'resolved'
                when granted.acknowledged_at is not null then 'acknowledged'
            end
        from granted
        where
            recipient.recipient_id = granted.recipient_id
            and not (granted.is_settled or granted.is_no_news or granted.is_early)
        returning
            recipient.recipient_id,
            recipient.channel,
            recipient.target || coalesce(granted.moved_to, '{}') as target,
            recipient.attempts,
            granted.is_in_doubt,
            granted.idempotency_token,
            granted.type,
            granted.mission_id,
            granted.point_id,
            granted.job_id,
            granted.details,
            greatest(
                now() - case
                    when recipient.step = 'alert' and recipient.silence_id is null
                        then granted.created_at
                    else granted.due_at
                end,
                '0'
            ) as waited,
            recipient.idempotency_key,
            recipient.step,
            case
                when recipient.follows is not null
                    then scooters_ops.earlier_message(recipient.follows)
            end as earlier,
            case
                when recipient.step ~ '^escalation_'
                    then scooters_ops.told_before(granted.notification_id)
            end as told,
            granted.notification_id,
            now() as as_of,
            granted.resolved_at,
            granted.resolution,
            granted.ended_at,
            granted.acknowledged_at,
            granted.acknowledged_by,
            scooters_ops.acknowledge_data(
                granted.notification_id, granted.idempotency_token
            ) as button,
            case
                when recipient.silence_id is not null
                    then scooters_ops.silenced(recipient.silence_id)
            end as silenced,
            case
                when recipient.digest_id is not null
                    then scooters_ops.digest_facts(recipient.digest_id)
            end as digest
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
            where not (granted.is_settled or granted.is_no_news or granted.is_early)
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

    if leader_ids is not null then
        perform scooters_ops.dissolve_digests(array_agg(formed.recipient_id))
        from scooters_ops.notification_recipients as formed
        where
            formed.recipient_id = any(leader_ids)
            and formed.state = 'pending'
        having count(*) > 0;
    end if;
end
$$;

comment on function scooters_ops.lease_deliveries(text, jsonb, double precision, jsonb, text[])
is
'Leases due recipients to a worker for lease_seconds. slots ({"telegram": 20}) says how many rows of each channel at most, follow_up_slots how many of them may change or answer earlier messages (null: the caller is of an earlier version, and gets nothing but alerts); limits and holds of the channel and of its chats and queues may allow fewer. target: where to send it, after a move as well; attempts: how often it was tried, this attempt included; is_in_doubt: an earlier lease expired, so that the message may have been sent; waited: how long ago the notification was inserted, for other steps than the alert, and for one that a silence has held, how long it has been due; idempotency_key: the key for the channel, the same with every attempt; step, as in notification_steps; earlier: the message that it changes or answers, {key, reference, address}; told: who was told before an escalation, an array of {channel, address, reference, sent_at}; as_of: the time of the lease; button: what a button to acknowledge the notification sends back; silenced: until when a silence held the alert, {until, by, comment}; digest: what the message tells of, together with the recipient''s own notification, as digest_facts() has it (null: of that alone), only for digest_channels; the rest as in notifications.';

revoke execute on function
scooters_ops.lease_deliveries(text, jsonb, double precision, jsonb, text[])
from public;
grant execute on function
scooters_ops.lease_deliveries(text, jsonb, double precision, jsonb, text[])
to scooters_ops_notifier;
