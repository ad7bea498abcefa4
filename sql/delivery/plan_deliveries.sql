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
        limit batch_size
        for update skip locked
    ) as unplanned;

    perform scooters_ops.plan_notifications(unplanned_ids);
    return coalesce(cardinality(unplanned_ids), 0);
end
$$;

comment on function scooters_ops.plan_deliveries(integer) is
'Stores the recipients of up to batch_size notifications that have none yet, as the routes say; returns of how many. Safe to call from many notifiers at once.';

revoke execute on function scooters_ops.plan_deliveries(integer) from public;
grant execute on function scooters_ops.plan_deliveries(integer)
to scooters_ops_notifier;
