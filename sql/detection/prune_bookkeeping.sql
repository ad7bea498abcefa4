-- What has grown and is of no use any more?
create or replace function scooters_ops.prune()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from scooters_ops.detection_passes
    using scooters_ops.config_in_force as in_force
    where started_at < now() - make_interval(
        secs => (in_force.config -> 'retention' -> 'passes_seconds')::double precision
    );

    delete from scooters_ops.event_keys
    using scooters_ops.config_in_force as in_force
    where created_at < now() - make_interval(
        secs => (
            in_force.config -> 'retention' -> 'idempotency_keys_seconds'
        )::double precision
    );

    delete from scooters_ops.notifiers
    using scooters_ops.config_in_force as in_force
    where seen_at < now() - make_interval(
        secs => (in_force.config -> 'retention' -> 'notifiers_seconds')::double precision
    );

    -- While no pass takes them, wake-ups of one mission pile up; the earliest will do.
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

comment on function scooters_ops.prune() is
'Deletes rows of detection_passes older than config''s retention.passes_seconds, idempotency keys of events older than retention.idempotency_keys_seconds, notifiers not seen for retention.notifiers_seconds, and wake-ups that an earlier one of the same mission makes needless.';

revoke execute on function scooters_ops.prune() from public;
