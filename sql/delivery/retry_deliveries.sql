-- What shall be tried once more, since a person has mended what was wrong?
-- What failed or is in doubt; what is blocked, at once and not some day; and what no
-- route matched: the routes of the config in force decide anew.
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
    undelivered_ids bigint[];
    blocked_count integer;
    unrouted_ids bigint[];
    routed_count integer := 0;
    revived_count integer;
begin
    undelivered_ids := scooters_ops.lock_undelivered(
        token, channel, '{failed,in_doubt}'
    );

    update scooters_ops.notification_recipients
    set
        state = 'pending',
        attempts = 0,
        next_attempt_at = now()
    where recipient_id = any(undelivered_ids);

    select notification_id
    into asked_id
    from scooters_ops.monitoring_notifications
    where idempotency_token = token;

    -- Whoever has locked one of them is about to try it.
    update scooters_ops.notification_recipients as recipient
    set next_attempt_at = now()
    from (
        select waiting.recipient_id
        from scooters_ops.notification_recipients as waiting
        where
            waiting.state = 'pending'
            and waiting.is_blocked
            and (token is null or waiting.notification_id = asked_id)
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

    revived_count := coalesce(cardinality(undelivered_ids), 0)
        + blocked_count
        + routed_count;
    if revived_count > 0 then
        notify scooters_ops;
    end if;
    return revived_count;
end
$$;

comment on function scooters_ops.retry_deliveries(text, text) is
'Gives failed and in-doubt recipients a new life, lets blocked ones be tried at once, and routes what no route matched by the config in force: of the notification with this token (null: of all), of this channel (null: of all, and what has no channel yet). Returns how many recipients, and how many notifications that a route matches now. SQLSTATE P0002: no such notification; 22023: no such channel.';

revoke execute on function scooters_ops.retry_deliveries(text, text) from public;
grant execute on function scooters_ops.retry_deliveries(text, text)
to scooters_ops_notifier, scooters_ops_operator;
