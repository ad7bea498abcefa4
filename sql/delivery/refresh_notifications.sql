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
    untold_ids bigint[];
    unsettled_ids bigint[];
begin
    select array_agg(locked.notification_id) filter (where locked.told_at is null)
    into untold_ids
    from (
        select
            notification.notification_id,
            notification.told_at
        from scooters_ops.monitoring_notifications as notification
        where notification.notification_id = any(notification_ids)
        order by notification.notification_id
        for no key update
    ) as locked;

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
            coalesce(bool_or(recipient.state = 'waiting'), false) as has_waiting,
            min(recipient.sent_at) filter (
                where
                recipient.step = 'alert'
                and recipient.state = 'sent'
                and recipient.notification_id = any(untold_ids)
            ) as told_at
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
            ),
            -- Not before an acknowledgement that was committed first: what acknowledge()
            -- has said of it stays true.
            told_at = case
                when planned.told_at is null then notification.told_at
                when planned.told_at < now() then planned.told_at
                else greatest(now(), notification.acknowledged_at)
            end,
            told_late_because = case
                when planned.told_at is null then notification.told_late_because
                when planned.told_at - notification.created_at > (
                    select in_force.stuck_after
                    from scooters_ops.config_in_force as in_force
                )
                    then scooters_ops.told_late_because(notification)
            end
        from planned
        where notification.notification_id = planned.notification_id
        returning
            notification.notification_id,
            notification.type,
            notification.created_at,
            planned.told_at is not null as is_newly_told,
            notification.told_at,
            notification.told_late_because,
            planned.has_waiting
            or notification.resolved_at is not null
            or notification.acknowledged_at is not null as is_unsettled
    ),

    timed as (
        insert into scooters_ops.new_durations (stage, type, duration, late_because)
        select
            'told',
            refreshed.type,
            greatest(refreshed.told_at - refreshed.created_at, '0'),
            refreshed.told_late_because
        from refreshed
        where
            refreshed.is_newly_told
            and refreshed.type::text <> 'test'
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
