-- Who shall be told of these notifications, by the config in force?
-- Called with the notifications locked: those that nobody has planned yet, and those
-- that no route has matched so far, which are not counted a second time.
create or replace function scooters_ops.plan_notifications(notification_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with routed as materialized (
        select
            notification_id,
            type,
            created_at,
            planned_at is null as is_new,
            scooters_ops.route_notification(
                type, details ->> 'job_type', details -> 'attributes'
            ) as recipients
        from scooters_ops.monitoring_notifications
        where notification_id = any(notification_ids)
    ),

    planned as (
        update scooters_ops.monitoring_notifications as notification
        set planned_at = now()
        from routed
        where notification.notification_id = routed.notification_id
    ),

    named as (
        insert into scooters_ops.notification_recipients (
            notification_id, channel, target
        )
        select
            routed.notification_id,
            recipient.value ->> 'type',
            recipient.value
        from routed
        cross join lateral jsonb_array_elements(routed.recipients)
            with ordinality as recipient (value, n)
        order by routed.notification_id, recipient.n
    ),

    unrouted as (
        insert into scooters_ops.unrouted_notifications (notification_id, created_at)
        select
            notification_id,
            created_at
        from routed
        where recipients is null
        on conflict (notification_id) do nothing
    ),

    rerouted as (
        delete from scooters_ops.unrouted_notifications as unrouted_before
        using routed
        where
            unrouted_before.notification_id = routed.notification_id
            and routed.recipients is not null
    ),

    fresh as (
        select
            type,
            count(*) as planned
        from routed
        where is_new
        group by type
    ),

    -- In a row that nobody else is counting in at this moment, so that nobody waits.
    counted as (
        update scooters_ops.notification_counts as counts
        set planned = counts.planned + fresh.planned
        from fresh
        cross join lateral (
            select part
            from scooters_ops.notification_counts
            where type = fresh.type
            limit 1
            for update skip locked
        ) as free
        where
            counts.type = fresh.type
            and counts.part = free.part
        returning counts.type
    )

    insert into scooters_ops.notification_counts (type, planned)
    select
        type,
        planned
    from fresh
    where type not in (select type from counted);

    perform scooters_ops.refresh_notifications(notification_ids);
end
$$;

comment on function scooters_ops.plan_notifications(bigint[]) is
'Stores the recipients of these notifications, as the routes of the config in force say, or that no route matches them.';

revoke execute on function scooters_ops.plan_notifications(bigint[]) from public;
