-- Who gets these notifications, by the routes of the config in force?
-- The caller has locked them. They are not planned yet, or no route has matched them so
-- far.
create or replace function scooters_ops.plan_notifications(notification_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with routed as materialized (
        select
            notification_id,
            created_at,
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

    rerouted as (
        delete from scooters_ops.unrouted_notifications as unrouted
        using routed
        where
            unrouted.notification_id = routed.notification_id
            and routed.recipients is not null
    )

    insert into scooters_ops.unrouted_notifications (notification_id, created_at)
    select
        notification_id,
        created_at
    from routed
    where recipients is null
    on conflict (notification_id) do nothing;

    perform scooters_ops.refresh_notifications(notification_ids);
end
$$;

comment on function scooters_ops.plan_notifications(bigint[]) is
'Stores the recipients of these notifications as the routes of the config in force say, or stores that no route matches.';

revoke execute on function scooters_ops.plan_notifications(bigint[]) from public;
