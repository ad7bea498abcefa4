-- How do the intervals of missions that finished before an upgrade get recorded?
-- Passes record missions that change from now on. This procedure records the others, in
-- committed batches: stopped and called again, it goes on with what is missing. It
-- judges by the config in force and reports nothing; it links and resolves the
-- notifications that there are. Passes go on between two batches.
-- For search_path see detect_in_batches.
create or replace procedure scooters_ops.backfill_intervals(since timestamptz)
language plpgsql
as $$
declare
    batch_ids pg_catalog.text[];
    last_id pg_catalog.text := '';
    recorded_count bigint := 0::bigint;
    mission_count bigint := 0::bigint;
begin
    loop
        perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        batch_ids := array(
            select mission.mission_id
            from scooters_ops.missions as mission
            where
                mission.mission_id > last_id
                and mission.created_at >= since
                and mission.status in ('completed', 'cancelled')
                and not exists (
                    select
                    from scooters_ops.recorded_intervals as recorded
                    where recorded.mission_id = mission.mission_id
                )
            order by mission.mission_id
            limit (
                select detection_batch_size
                from scooters_ops.config_in_force
            )
        );
        exit when cardinality(batch_ids) = 0;

        perform scooters_ops.wait_for_detection_lock();
        recorded_count := recorded_count
        + scooters_ops.record_intervals(batch_ids, null, now(), 'infinity');
        mission_count := mission_count + cardinality(batch_ids);

        perform scooters_ops.resolve_notifications(now());

        -- A mission that changed meanwhile is left to the next pass, which may report
        -- it.
        delete from scooters_ops.recorded_intervals
        where
            mission_id = any(batch_ids)
            and mission_id in (
                select wakeup.mission_id
                from scooters_ops.mission_wakeups as wakeup
                where wakeup.due_at <= now()
            );
        last_id := batch_ids[cardinality(batch_ids)];
        commit;
        raise notice 'recorded % intervals of % missions', recorded_count, mission_count;
        call scooters_ops.detect_between_batches();
    end loop;
end
$$;

comment on procedure scooters_ops.backfill_intervals(timestamptz) is -- noqa: LT01
'Records the intervals of finished missions that were created at or after since and are not recorded yet, at most detection.batch_size missions in a transaction, and says how far it is. Judges by the config in force; reports nothing of these missions. Where passes have been running, it runs them between two batches. Call it again to go on after a stop. Cannot run within a transaction (SQLSTATE 2D000).';

revoke execute on procedure scooters_ops.backfill_intervals(timestamptz) from public;
