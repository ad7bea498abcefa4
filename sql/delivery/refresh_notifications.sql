-- What are "recipients" and "completed" of these notifications now?
-- Every function that writes notification_recipients calls it in the same transaction.
-- It locks the notifications first, so that the second of two sessions that record
-- results of one notification sees what the first wrote.
create or replace function scooters_ops.refresh_notifications(notification_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform
    from scooters_ops.monitoring_notifications
    where notification_id = any(notification_ids)
    order by notification_id
    for update;

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
    from (
        select
            asked.notification_id,
            bool_and(recipient.state = 'sent') as completed,
            coalesce(
                jsonb_agg(
                    recipient.target
                    || jsonb_build_object('sended', recipient.state = 'sent')
                    order by recipient.recipient_id
                ) filter (where recipient.recipient_id is not null),
                '[]'
            ) as recipients
        from unnest(notification_ids) as asked (notification_id)
        left join scooters_ops.notification_recipients as recipient using (notification_id)
        group by asked.notification_id
    ) as planned
    where notification.notification_id = planned.notification_id;
end
$$;

comment on function scooters_ops.refresh_notifications(bigint[]) is
'Updates recipients and completed of these notifications from notification_recipients.';

revoke execute on function scooters_ops.refresh_notifications(bigint[]) from public;
