-- What has still to be said about these notifications?
-- It brings their steps in line with what is known now. Whoever resolves or
-- acknowledges a notification, or records that a message was sent, calls it in the same
-- transaction with the notifications locked, so that it does not matter which of these
-- comes first.
-- Others lock recipients before notifications, so this function waits for no recipient.
-- One that is locked is being leased or recorded: lease_deliveries cancels what is no
-- longer needed, and recording ends with a call of this function.
create or replace function scooters_ops.settle_steps(notification_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
declare
    known_channels text[];
    resolved_channels text[];
    inserted_count integer;
begin
    select
        array_agg(followed.channel),
        array_agg(followed.channel) filter (where followed.shows_resolved)
    into known_channels, resolved_channels
    from scooters_ops.followed_channels() as followed;

    -- Resolved and acknowledged: nobody has to be alarmed any more. What shows who has
    -- taken care is replaced by what shows the outcome. A digest is not reminded of. An
    -- alert that a silence holds until then is never sent.
    with obsolete as (
        select unsent.recipient_id
        from scooters_ops.monitoring_notifications as notification
        inner join scooters_ops.notification_recipients as unsent
            on notification.notification_id = unsent.notification_id
        where
            notification.notification_id = any(notification_ids)
            and case
                when unsent.step ~ '^(escalation|reminder)_'
                    then unsent.state in ('pending', 'waiting')
                    -- It may have been sent, and its message shows the outcome later.
                    and not unsent.is_taken_over
                    and (
                        notification.resolved_at is not null
                        or notification.acknowledged_at is not null
                        or exists (
                            select
                            from scooters_ops.notification_recipients as told
                            where
                                told.recipient_id = unsent.follows
                                and told.digest_id is not null
                                and told.state = 'sent'
                        )
                    )
                when unsent.step ~ '^acknowledged'
                    then unsent.state in ('pending', 'waiting', 'failed', 'in_doubt')
                    and notification.resolved_at is not null
                    and unsent.channel = any(resolved_channels)
                when unsent.silence_id is not null
                    then unsent.step = 'alert'
                    and unsent.state = 'pending'
                    and unsent.attempts = 0
                    and not unsent.is_taken_over
                    and notification.resolved_at is not null
                    and exists (
                        select
                        from scooters_ops.active_silences as holding
                        where holding.silence_id = unsent.silence_id
                    )
            end
        for update of unsent skip locked
    ),

    cancelled as (
        update scooters_ops.notification_recipients as recipient
        set
            state = 'cancelled',
            is_blocked = false
        from obsolete
        where recipient.recipient_id = obsolete.recipient_id
        returning
            recipient.recipient_id,
            recipient.notification_id,
            recipient.step
    )

    update scooters_ops.monitoring_notifications as notification
    set completed = true
    from (
        select distinct alert.notification_id
        from cancelled as alert
        where alert.step = 'alert'
    ) as muted
    where
        notification.notification_id = muted.notification_id
        and not exists (
            select
            from scooters_ops.notification_recipients as alert
            where
                alert.notification_id = muted.notification_id
                and alert.step = 'alert'
                and alert.state not in ('sent', 'cancelled')
                and alert.recipient_id not in (select recipient_id from cancelled)
        );

    -- Reminders count from the time when the alert was sent. Two changes of one message
    -- are never in flight together, or the older one might arrive last.
    update scooters_ops.notification_recipients as recipient
    set
        state = 'pending',
        next_attempt_at = case
            when recipient.step ~ '^reminder_'
                then now() + (recipient.next_attempt_at - notification.created_at)
            else now()
        end
    from scooters_ops.monitoring_notifications as notification
    inner join lateral (
        select waiting.recipient_id
        from scooters_ops.notification_recipients as waiting
        where
            waiting.notification_id = notification.notification_id
            and waiting.state = 'waiting'
            and exists (
                select
                from scooters_ops.notification_recipients as earlier
                where
                    earlier.recipient_id = waiting.follows
                    and earlier.state = 'sent'
                    and (earlier.digest_id is null or waiting.step !~ '^reminder_')
            )
            and not exists (
                select
                from scooters_ops.notification_recipients as sibling
                where
                    sibling.notification_id = waiting.notification_id
                    and sibling.follows = waiting.follows
                    and sibling.state = 'sending'
                    and sibling.step !~ '^reminder_'
                    and waiting.step !~ '^reminder_'
            )
        for update skip locked
    ) as ready on true
    where
        notification.notification_id = any(notification_ids)
        and recipient.recipient_id = ready.recipient_id;

    -- Each message that was sent shows the outcome, unless it did when it was sent. A
    -- reminder that became part of an earlier message, as a comment does, needs nothing.
    insert into scooters_ops.notification_recipients (
        notification_id, channel, target, step, follows, silence_id, state
    )
    select
        message.notification_id,
        message.channel,
        message.target,
        change.step,
        message.recipient_id,
        message.silence_id,
        case
            when exists (
                select
                from scooters_ops.notification_recipients as sibling
                where
                    sibling.notification_id = message.notification_id
                    and sibling.follows = message.recipient_id
                    and sibling.step !~ '^reminder_'
                    and sibling.state = 'sending'
            ) then 'waiting'
            else 'pending'
        end
    from (
        select
            notification.notification_id,
            case
                when notification.resolved_at is null then 'acknowledged'
                else 'resolved'
            end as outcome
        from scooters_ops.monitoring_notifications as notification
        cross join scooters_ops.news_horizon as horizon
        where
            notification.notification_id = any(notification_ids)
            and notification.type::text <> 'test'
            and case
                when notification.resolved_at is null
                    then notification.acknowledged_at is not null
                -- An earlier version told of it, and it was over before the upgrade.
                else notification.notification_id > horizon.followed_after_id
                    or notification.ended_at >= horizon.followed_since
            end
    ) as known
    cross join lateral (
        select
            sent.*,
            row_number() over (
                partition by sent.target
                order by sent.step <> 'alert', sent.recipient_id
            ) = 1 as is_first
        from scooters_ops.notification_recipients as sent
        where
            sent.notification_id = known.notification_id
            and sent.step ~ '^(alert|escalation|reminder)'
    ) as message
    cross join lateral (
        select
            known.outcome || case when message.is_first then '' else '_' || message.step end
                as step
    ) as change
    where
        message.state = 'sent'
        and message.digest_id is null
        -- "on conflict" would wait for a session that records the result of that row.
        and not exists (
            select
            from scooters_ops.notification_recipients as existing
            where
                existing.notification_id = message.notification_id
                and existing.target = message.target
                and existing.step = change.step
        )
        and coalesce(message.shows not in ('resolved', known.outcome), true)
        and case known.outcome
            when 'resolved' then message.channel = any(resolved_channels)
            else message.channel = any(known_channels)
        end
        and not exists (
            select
            from scooters_ops.notification_recipients as earlier
            where
                earlier.recipient_id = message.follows
                and earlier.reference = message.reference
        )
    order by message.recipient_id
    on conflict (notification_id, target, step) do nothing;
    get diagnostics inserted_count = row_count;

    if
        exists (
            select
            from scooters_ops.notification_recipients as told
            where told.digest_id is not null
        )
    then
        inserted_count := inserted_count
            + scooters_ops.settle_digests(notification_ids, resolved_channels);
    end if;

    if inserted_count > 0 then
        notify scooters_ops;
    end if;
end
$$;

comment on function scooters_ops.settle_steps(bigint[]) is
'Brings the steps of these notifications in line with what is known of them: cancels escalations and reminders that are no longer needed, and alerts that resolved while a silence held them, makes waiting steps due, inserts the steps that show who acknowledged a notification or how it was resolved. The caller has locked the notifications.';

revoke execute on function scooters_ops.settle_steps(bigint[]) from public;
