-- Which notifications' intervals are closed or gone?
-- A notification that another session has locked waits for the next pass: a pass waits
-- for nobody. This is the last step of a pass, so that a notifier that records a result
-- waits for its commit alone.
create or replace function scooters_ops.resolve_notifications(as_of timestamptz)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
declare
    ready_ids bigint[];
    resolved_count integer;
begin
    ready_ids := array(
        select notification.notification_id
        from scooters_ops.monitoring_notifications as notification
        where
            notification.notification_id = any(
                array(
                    select pending.notification_id
                    from scooters_ops.pending_resolutions as pending
                )
            )
        for no key update skip locked
    );

    update scooters_ops.monitoring_notifications as notification
    set
        resolved_at = as_of,
        resolution = (
            select pending.resolution
            from scooters_ops.pending_resolutions as pending
            where pending.notification_id = notification.notification_id
        )
    where
        notification.notification_id = any(ready_ids)
        and notification.resolved_at is null;
    get diagnostics resolved_count = row_count;

    -- What was pruned meanwhile needs no resolution.
    delete from scooters_ops.pending_resolutions as pending
    where
        pending.notification_id = any(ready_ids)
        -- "not exists" would read every notification.
        or (
            select notification.notification_id
            from scooters_ops.monitoring_notifications as notification
            where notification.notification_id = pending.notification_id
        ) is null;
    return resolved_count;
end
$$;

comment on function scooters_ops.resolve_notifications(timestamptz) is
'Resolves the notifications whose intervals were recorded as closed or gone; returns how many. Those that another session has locked wait for the next pass. The caller holds the detection lock.';

revoke execute on function scooters_ops.resolve_notifications(timestamptz) from public;
