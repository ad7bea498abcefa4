-- Which recorded intervals are no longer needed?
-- Those that finished long ago and were judged. The index on started_at finds them,
-- because an interval starts before it finishes. The caller holds the detection lock,
-- so that no pass changes a row while it is deleted.
create or replace function scooters_ops.prune_intervals(
    started_since timestamptz,
    finished_before timestamptz,
    batch_size integer
)
returns timestamptz
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    last_started_at timestamptz;
begin
    with finished as materialized (
        select
            mission_id,
            type,
            from_point_id,
            started_at
        from scooters_ops.recorded_intervals
        where
            started_at >= started_since
            and started_at < finished_before
            and finished_at < finished_before
            and is_judged
        order by started_at
        limit batch_size
    ),

    deleted as (
        delete from scooters_ops.recorded_intervals as recorded
        using finished
        where
            recorded.mission_id = finished.mission_id
            and recorded.type = finished.type
            and recorded.from_point_id = finished.from_point_id
    )

    select max(finished.started_at)
    into last_started_at
    from finished;
    return last_started_at;
end
$$;

comment on function
scooters_ops.prune_intervals(timestamptz, timestamptz, integer) is
'Deletes at most batch_size judged recorded intervals that started at or after started_since and finished before finished_before, the oldest first. Returns when the last of them started, from which to continue; null: there was none. The caller holds the detection lock. finished_before must not be later than recorded_since().';

revoke execute on function
scooters_ops.prune_intervals(timestamptz, timestamptz, integer) from public;
