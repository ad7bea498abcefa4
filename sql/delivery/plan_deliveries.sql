-- Who gets the notifications that are not planned yet?
-- The routes of the config in force decide once, and the decision is stored. Without a
-- config nothing is planned.
create or replace function scooters_ops.plan_deliveries(max_notifications integer)
returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    unplanned_ids bigint[];
begin
    select array_agg(unplanned.notification_id)
    into unplanned_ids
    from (
        select notification_id
        from scooters_ops.monitoring_notifications
        where
            planned_at is null
            and exists (select from scooters_ops.config_in_force)
        order by notification_id
        limit max_notifications
        for update skip locked
    ) as unplanned;

    perform scooters_ops.plan_notifications(unplanned_ids);

    -- Last, because a sequence keeps its value if the transaction fails.
    perform nextval(to_regclass('scooters_ops.planned_' || type))
    from scooters_ops.monitoring_notifications
    where notification_id = any(unplanned_ids);

    return coalesce(cardinality(unplanned_ids), 0);
end
$$;

comment on function scooters_ops.plan_deliveries(integer) is
'Stores the recipients of at most max_notifications notifications that are not planned yet, as the routes say. Returns how many it planned. Safe to call from many notifiers at once.';

revoke execute on function scooters_ops.plan_deliveries(integer) from public;
grant execute on function scooters_ops.plan_deliveries(integer)
to scooters_ops_notifier;
