-- What is tried again after a person fixed the cause?
-- Failed and in-doubt recipients become pending, blocked recipients are due at once,
-- and the routes of the config in force decide again for unrouted notifications.
create or replace function scooters_ops.retry_deliveries(
    token text default null,
    channel text default null
)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    asked_id bigint;
    unsent_ids bigint[];
    blocked_count integer;
    unrouted_ids bigint[];
    routed_count integer := 0;
    revived_count integer;
begin
    unsent_ids := scooters_ops.lock_recipients(token, channel, '{failed,in_doubt}');

    -- A digest that may have been sent stays as it is, or else its alerts are on their
    -- own again.
    update scooters_ops.notification_recipients as recipient
    set
        state = case
            when kept.follows is null and kept.digest_id <> recipient.recipient_id
                then 'waiting'
            else 'pending'
        end,
        attempts = 0,
        next_attempt_at = now(),
        digest_id = kept.digest_id
    from (
        select
            unsent.recipient_id,
            case
                when unsent.follows is not null or unsent.is_taken_over
                    then unsent.digest_id
            end as digest_id,
            unsent.follows
        from scooters_ops.notification_recipients as unsent
        where unsent.recipient_id = any(unsent_ids)
    ) as kept
    where recipient.recipient_id = kept.recipient_id;

    select notification_id
    into asked_id
    from scooters_ops.monitoring_notifications
    where idempotency_token = token;

    -- A locked row is being leased, so it is tried anyway.
    update scooters_ops.notification_recipients as recipient
    set next_attempt_at = now()
    from (
        select waiting.recipient_id
        from scooters_ops.notification_recipients as waiting
        where
            waiting.state = 'pending'
            and waiting.is_blocked
            and (
                token is null
                or waiting.notification_id = asked_id
                or waiting.recipient_id in (
                    select member.digest_id
                    from scooters_ops.notification_recipients as member
                    where
                        member.notification_id = asked_id
                        and member.digest_id is not null
                )
            )
            and (
                retry_deliveries.channel is null
                or waiting.channel = retry_deliveries.channel
            )
        for update skip locked
    ) as blocked
    where recipient.recipient_id = blocked.recipient_id;
    get diagnostics blocked_count = row_count;

    if channel is null then
        select array_agg(locked.notification_id)
        into unrouted_ids
        from (
            select notification.notification_id
            from scooters_ops.unrouted_notifications as unrouted
            inner join scooters_ops.monitoring_notifications as notification
                using (notification_id)
            where token is null or unrouted.notification_id = asked_id
            order by notification.notification_id
            for update of notification
        ) as locked;
        perform scooters_ops.plan_notifications(unrouted_ids);

        select count(*)::integer
        into routed_count
        from unnest(unrouted_ids) as asked (notification_id)
        where not exists (
            select
            from scooters_ops.unrouted_notifications as unrouted
            where unrouted.notification_id = asked.notification_id
        );
    end if;

    revived_count := coalesce(cardinality(unsent_ids), 0)
        + blocked_count
        + routed_count;
    if revived_count > 0 then
        notify scooters_ops;
    end if;
    return revived_count;
end
$$;

comment on function scooters_ops.retry_deliveries(text, text) is
'Makes failed, in-doubt and blocked recipients due at once, and routes unrouted notifications by the config in force: those of the notification with this token (null: of all), with all that the same digest tells of, and of this channel (null: of all; only then unrouted notifications too, which have no channel yet). Returns how many recipients, plus how many notifications that a route matches now. SQLSTATE P0002: no such notification; 22023: no such channel.';

revoke execute on function scooters_ops.retry_deliveries(text, text) from public;
grant execute on function scooters_ops.retry_deliveries(text, text)
to scooters_ops_notifier, scooters_ops_operator;
