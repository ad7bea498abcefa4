-- Who shall be told of the notifications that nobody has planned yet?
-- The routes of the config in force decide once, and the decision is stored. Without
-- any config nothing is planned: the notifications wait for one.
create or replace function scooters_ops.plan_deliveries(batch_size integer)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    planned_ids bigint[];
begin
    with unplanned as (
        select notification_id
        from scooters_ops.monitoring_notifications
        where
            planned_at is null
            and exists (select from scooters_ops.config_in_force)
        order by notification_id
        limit batch_size
        for update skip locked
    ),

    planned as (
        update scooters_ops.monitoring_notifications as notification
        set planned_at = now()
        from unplanned
        where notification.notification_id = unplanned.notification_id
        returning
            notification.notification_id,
            notification.type,
            notification.details
    ),

    named as (
        insert into scooters_ops.notification_recipients (
            notification_id, channel, target
        )
        select
            planned.notification_id,
            recipient.value ->> 'type',
            recipient.value
        from planned
        cross join lateral jsonb_array_elements(
            scooters_ops.recipients_for(
                planned.type,
                planned.details ->> 'job_type',
                planned.details -> 'attributes'
            )
        ) with ordinality as recipient (value, n)
        order by planned.notification_id, recipient.n
    ),

    fresh as (
        select
            type,
            count(*) as planned
        from planned
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
    ),

    counted_anew as (
        insert into scooters_ops.notification_counts (type, planned)
        select
            type,
            planned
        from fresh
        where type not in (select type from counted)
    )

    select array_agg(notification_id)
    into planned_ids
    from planned;

    perform scooters_ops.refresh_notifications(planned_ids);
    return coalesce(cardinality(planned_ids), 0);
end
$$;

comment on function scooters_ops.plan_deliveries(integer) is
'Stores the recipients of up to batch_size notifications that have none yet, as the routes say; returns of how many. Safe to call from many notifiers at once.';

revoke execute on function scooters_ops.plan_deliveries(integer) from public;
grant execute on function scooters_ops.plan_deliveries(integer)
to scooters_ops_notifier;
