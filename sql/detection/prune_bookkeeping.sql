-- Which of our own records are too old, and which wake-ups are redundant?
create or replace function scooters_ops.prune_bookkeeping()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from scooters_ops.detection_passes
    using scooters_ops.config_in_force as in_force
    where started_at < now() - in_force.passes_kept;

    delete from scooters_ops.event_keys
    using scooters_ops.config_in_force as in_force
    where created_at < now() - in_force.idempotency_keys_kept;

    delete from scooters_ops.notifiers
    using scooters_ops.config_in_force as in_force
    where seen_at < now() - in_force.notifiers_kept;

    -- While no pass runs, the wake-ups of a mission pile up; its earliest is enough.
    if scooters_ops.try_detection_lock() then
        delete from scooters_ops.mission_wakeups
        where ctid in (
            select ranked.ctid
            from (
                select
                    ctid,
                    row_number() over (partition by mission_id order by due_at) as place
                from scooters_ops.mission_wakeups
            ) as ranked
            where ranked.place > 1
        );
    end if;
end
$$;

comment on function scooters_ops.prune_bookkeeping() is
'Deletes records of passes older than retention.passes_seconds, keys of events older than retention.idempotency_keys_seconds, notifiers not seen for retention.notifiers_seconds, and wake-ups of missions that have an earlier one.';

revoke execute on function scooters_ops.prune_bookkeeping() from public;
