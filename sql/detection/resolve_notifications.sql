-- Which notifications' intervals are closed or gone?
-- A notification that another session has locked waits for the next pass: a pass waits
-- for nobody. This is the last step of a pass, so that a notifier that records a result
-- waits for its commit alone. What was told follows in the same transaction.
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
    resolved_ids bigint[];
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

    -- The recorded intervals say what became of it, however long it was locked. It may
    -- tell of two intervals to one point, and what a correction took away may have come
    -- back or go on under another beginning: then it waits for that one to close.
    with resolved as (
        update scooters_ops.monitoring_notifications as notification
        set
            resolved_at = as_of,
            resolution = scooters_ops.resolution_of(
                notification.mission_id, told.finished_at
            ),
            ended_at = told.finished_at
        from unnest(ready_ids) as ready (notification_id)
        cross join lateral (
            select
                max(recorded.finished_at) as finished_at,
                count(*) filter (where recorded.finished_at is null) as open_count
            from scooters_ops.monitoring_notifications as reported
            inner join scooters_ops.recorded_intervals as recorded
                on
                    reported.mission_id = recorded.mission_id
                    and reported.type = recorded.type
                    and reported.notification_id = recorded.notification_id
            where reported.notification_id = ready.notification_id
        ) as told
        where
            notification.notification_id = ready.notification_id
            and notification.resolved_at is null
            and told.open_count = 0
        returning
            notification.notification_id,
            notification.type,
            notification.created_at,
            notification.ended_at
    ),

    timed as (
        insert into scooters_ops.new_durations (stage, type, duration)
        select
            'resolved',
            resolved.type,
            resolved.ended_at - resolved.created_at
        from resolved
        where resolved.ended_at > resolved.created_at
    )

    select array_agg(resolved.notification_id)
    into resolved_ids
    from resolved;

    if resolved_ids is not null then
        perform scooters_ops.settle_steps(resolved_ids);
    end if;

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
    return coalesce(cardinality(resolved_ids), 0);
end
$$;

comment on function scooters_ops.resolve_notifications(timestamptz) is
'Resolves the notifications whose intervals were recorded as closed or gone; returns how many. Those that another session has locked wait for the next pass. The caller holds the detection lock.';

revoke execute on function scooters_ops.resolve_notifications(timestamptz) from public;
