-- Which notifications' intervals are closed or gone?
-- A notification that another session has locked waits for the next pass: a pass waits
-- for nobody. This is the last step of a pass, so that a notifier that records a result
-- waits for its commit alone.
create or replace function scooters_ops.resolve_notifications(as_of timestamptz)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
    resolved_count integer;
begin
    if not exists (select from scooters_ops.pending_resolutions) then
        return 0;
    end if;

    with ready as materialized (
        select
            pending.notification_id,
            pending.resolution
        from scooters_ops.pending_resolutions as pending
        inner join scooters_ops.monitoring_notifications as notification
            using (notification_id)
        for update of notification skip locked
    ),

    settled as (
        delete from scooters_ops.pending_resolutions as pending
        where
            pending.notification_id in (select ready.notification_id from ready)
            or not exists (
                select
                from scooters_ops.monitoring_notifications as notification
                where notification.notification_id = pending.notification_id
            )
    ),

    resolved as (
        update scooters_ops.monitoring_notifications as notification
        set
            resolved_at = as_of,
            resolution = ready.resolution
        from ready
        where
            notification.notification_id = ready.notification_id
            and notification.resolved_at is null
        returning 1
    )

    select count(*)
    into resolved_count
    from resolved;
    return resolved_count;
end
$$;

comment on function scooters_ops.resolve_notifications(timestamptz) is
'Resolves the notifications whose intervals were recorded as closed or gone; returns how many. Those that another session has locked wait for the next pass. The caller holds the detection lock.';

revoke execute on function scooters_ops.resolve_notifications(timestamptz) from public;
