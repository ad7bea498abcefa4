-- Which alerts of these notifications do silences hold now?
-- An alert that nobody may have seen yet waits for the end of the silence that ends
-- last of those that match. Without one, an alert that was held goes out now. One whose
-- notification has resolved while it was held is cancelled.
-- Escalations count from the end of the hold, unless some alert may have been sent: a
-- silence never touches what follows it. Reminders count from the alert anyway.
-- Recipients are locked before notifications, as in record_deliveries. What is unsent
-- only since then is left alone: whoever has locked it may wait for the notification.
-- Silences are locked, too, so that unsilence() waits and then finds what was held
-- meanwhile; one that is being ended holds nothing more.
create or replace function scooters_ops.hold_alerts(notification_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
    unsent_ids bigint[];
    silence_ids bigint[];
    resolved_ids bigint[];
begin
    unsent_ids := array(
        select unsent.recipient_id
        from scooters_ops.notification_recipients as unsent
        where
            unsent.notification_id = any(notification_ids)
            and unsent.state = 'pending'
            and unsent.step ~ '^(alert$|escalation_)'
        order by unsent.recipient_id
        for update
    );

    perform
    from scooters_ops.monitoring_notifications as notification
    where notification.notification_id = any(notification_ids)
    order by notification.notification_id
    for no key update;

    silence_ids := array(
        select silence.silence_id
        from scooters_ops.silences as silence
        where
            silence.ended_at is null
            and silence.ends_at > now()
        order by silence.silence_id
        for share skip locked
    );

    with asked as materialized (
        select
            notification.notification_id,
            notification.created_at,
            notification.details,
            notification.resolved_at is not null as is_resolved,
            holding.silence_id,
            coalesce(holding.ends_at, now()) as held_until,
            exists (
                select
                from scooters_ops.notification_recipients as alert
                where
                    alert.notification_id = notification.notification_id
                    and alert.step = 'alert'
                    and (
                        alert.state not in ('pending', 'cancelled')
                        or alert.attempts > 0
                        or alert.is_taken_over
                    )
            ) as is_told
        from scooters_ops.monitoring_notifications as notification
        cross join lateral scooters_ops.holding_silence(
            notification, silence_ids
        ) as holding
        where notification.notification_id = any(notification_ids)
    ),

    changed as (
        update scooters_ops.notification_recipients as recipient
        set
            silence_id = coalesce(asked.silence_id, recipient.silence_id),
            state = case
                when recipient.step = 'alert' and asked.is_resolved then 'cancelled'
                else recipient.state
            end,
            is_blocked = false,
            next_attempt_at = case
                when recipient.step = 'alert' then asked.held_until
                when recipient.level ? 'after_seconds'
                    then asked.held_until + make_interval(
                        secs => (recipient.level ->> 'after_seconds')::double precision
                    )
                when recipient.level ? 'at_factor'
                    then greatest(
                        scooters_ops.level_due_at(
                            recipient.level, asked.created_at, asked.details
                        ),
                        asked.held_until
                    )
                -- An earlier version planned it.
                else greatest(recipient.next_attempt_at, asked.held_until)
            end
        from asked
        where
            recipient.notification_id = asked.notification_id
            and recipient.recipient_id = any(unsent_ids)
            and recipient.state = 'pending'
            and recipient.attempts = 0
            and not recipient.is_taken_over
            and recipient.step ~ '^(alert$|escalation_)'
            and (recipient.step = 'alert' or not asked.is_told)
            and (asked.silence_id is not null or recipient.silence_id is not null)
        returning
            recipient.notification_id,
            asked.is_resolved
    )

    select array_agg(distinct changed.notification_id)
    into resolved_ids
    from changed
    where changed.is_resolved;

    if resolved_ids is not null then
        perform scooters_ops.refresh_notifications(resolved_ids);
    end if;
end
$$;

comment on function scooters_ops.hold_alerts(bigint[]) is
'Brings the alerts and escalations of these notifications that were not tried yet in line with the silences that are active now: holds, releases or cancels them.';

revoke execute on function scooters_ops.hold_alerts(bigint[]) from public;
