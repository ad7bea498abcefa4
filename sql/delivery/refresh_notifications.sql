-- What are "recipients" and "completed" of these notifications now, and what follows?
-- Both speak of alerts alone. Every function that writes notification_recipients calls
-- it in the same transaction.
-- It locks the notifications first, so that the second of two sessions that record
-- results of one notification sees what the first wrote.
create or replace function scooters_ops.refresh_notifications(notification_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    unsettled_ids bigint[];
begin
    perform
    from scooters_ops.monitoring_notifications
    where notification_id = any(notification_ids)
    order by notification_id
    for no key update;

    with planned as (
        select
            asked.notification_id,
            bool_and(recipient.state in ('sent', 'cancelled')) filter (
                where recipient.step = 'alert'
            ) as completed,
            coalesce(
                jsonb_agg(
                    recipient.target
                    || jsonb_build_object('sended', recipient.state = 'sent')
                    order by recipient.recipient_id
                ) filter (where recipient.step = 'alert'),
                '[]'
            ) as recipients,
            coalesce(bool_or(recipient.state = 'waiting'), false) as has_waiting
        from unnest(notification_ids) as asked (notification_id)
        left join scooters_ops.notification_recipients as recipient using (notification_id)
        group by asked.notification_id
    ),

    refreshed as (
        update scooters_ops.monitoring_notifications as notification
        set
            recipients = planned.recipients,
            completed = coalesce(
                planned.completed,
                (
                    select count(*) = 0
                    from scooters_ops.unrouted_notifications as unrouted
                    where unrouted.notification_id = notification.notification_id
                )
            )
        from planned
        where notification.notification_id = planned.notification_id
        returning
            notification.notification_id,
            planned.has_waiting
            or notification.resolved_at is not null
            or notification.acknowledged_at is not null as is_unsettled
    )

    select array_agg(refreshed.notification_id)
    into unsettled_ids
    from refreshed
    where refreshed.is_unsettled;

    -- Most of them have nothing but alerts, and finding that out must cost little.
    if unsettled_ids is not null then
        perform scooters_ops.settle_steps(unsettled_ids);
    end if;
end
$$;

comment on function scooters_ops.refresh_notifications(bigint[]) is
'Updates recipients and completed of these notifications from notification_recipients, and settles the steps that follow.';

revoke execute on function scooters_ops.refresh_notifications(bigint[]) from public;
