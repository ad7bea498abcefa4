-- Who gets these notifications, and what follows, by the routes of the config in force?
-- The caller has locked them. They are not planned yet, or no route has matched them so
-- far. Escalations and reminders wait for their time, unless the notification is
-- resolved already; a reminder also waits until its alert is sent. What silences match
-- waits for their end.
create or replace function scooters_ops.plan_notifications(notification_ids bigint[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
    with routed as materialized (
        select
            notification.notification_id,
            notification.created_at,
            notification.details,
            notification.resolved_at is null
            and notification.acknowledged_at is null as is_open,
            (
                select jsonb_agg(matching.route order by matching.n)
                from scooters_ops.matching_routes(
                    scooters_ops.match_facts(notification), now()
                ) as matching
            ) as routes
        from scooters_ops.monitoring_notifications as notification
        where notification.notification_id = any(notification_ids)
    ),

    planned as (
        update scooters_ops.monitoring_notifications as notification
        set
            planned_at = now(),
            was_unrouted = notification.was_unrouted or notification.planned_at is not null,
            planned_config_id = (
                select in_force.config_id
                from scooters_ops.config_in_force as in_force
            )
        from routed
        where notification.notification_id = routed.notification_id
    ),

    matched as (
        select
            routed.*,
            route.n,
            route.value as route
        from routed
        cross join lateral jsonb_array_elements(routed.routes)
            with ordinality as route (value, n)
    ),

    alert as (
        insert into scooters_ops.notification_recipients (
            notification_id, channel, target
        )
        select
            matched.notification_id,
            recipient.value ->> 'type',
            recipient.value
        from matched
        cross join lateral jsonb_array_elements(matched.route -> 'recipients')
            with ordinality as recipient (value, n)
        -- A recipient that is named twice gets one message.
        group by matched.notification_id, recipient.value
        order by matched.notification_id, min(array[matched.n, recipient.n])
        returning recipient_id, notification_id, target
    ),

    step as (
        select
            matched.notification_id,
            recipient.value as target,
            'escalation_' || level.n as step,
            level.value - 'recipients' as level,
            null::bigint as follows,
            'pending' as state,
            scooters_ops.level_due_at(level.value, matched.created_at, matched.details)
                as due_at
        from matched
        cross join lateral jsonb_array_elements(matched.route -> 'escalate')
            with ordinality as level (value, n)
        cross join lateral jsonb_array_elements(level.value -> 'recipients') as recipient
        where matched.is_open
        union all
        select
            alert.notification_id,
            alert.target,
            'reminder_' || again.n as step,
            null as level,
            alert.recipient_id as follows,
            'waiting' as state,
            matched.created_at + make_interval(
                secs => again.n
                * (matched.route #>> '{remind,every_seconds}')::double precision
            ) as due_at
        from matched
        cross join lateral jsonb_array_elements(matched.route -> 'recipients') as recipient
        inner join alert
            on
                matched.notification_id = alert.notification_id
                and recipient.value = alert.target
        cross join lateral generate_series(
            1, (matched.route #>> '{remind,times}')::integer
        ) as again (n)
        where matched.is_open
    ),

    later as (
        insert into scooters_ops.notification_recipients (
            notification_id, channel, target, step, level, follows, state, next_attempt_at
        )
        select distinct on (step.notification_id, step.target, step.step)
            step.notification_id,
            step.target ->> 'type',
            step.target,
            step.step,
            step.level,
            step.follows,
            step.state,
            step.due_at
        from step
        where step.due_at is not null
        order by step.notification_id, step.target, step.step, step.due_at
    ),

    rerouted as (
        delete from scooters_ops.unrouted_notifications as unrouted
        using routed
        where
            unrouted.notification_id = routed.notification_id
            and routed.routes is not null
    )

    insert into scooters_ops.unrouted_notifications (notification_id, created_at)
    select
        notification_id,
        created_at
    from routed
    where routes is null
    on conflict (notification_id) do nothing;

    if exists (select from scooters_ops.active_silences) then
        perform scooters_ops.hold_alerts(notification_ids);
    end if;
    perform scooters_ops.refresh_notifications(notification_ids);
end
$$;

comment on function scooters_ops.plan_notifications(bigint[]) is
'Stores the recipients of these notifications as the routes of the config in force say, with the escalations and reminders that wait for their time, or stores that no route matches.';

revoke execute on function scooters_ops.plan_notifications(bigint[]) from public;
