-- What is newly overdue, in passes that are committed one by one? pg_cron calls this.
-- However many missions are due at once: each pass looks at no more than
-- detection.batch_size of them, and what it found can be delivered while the next one
-- runs. What a pass that failed had taken comes back with its transaction.
-- A procedure that commits cannot have a search_path of its own, so each transaction
-- sets it first; what comes before looks no name up.
create or replace procedure scooters_ops.detect_in_batches()
language plpgsql
as $$
declare
    due_mission_ids pg_catalog.text[];
    batch_size integer;
    looked_at integer := 0;
    is_last boolean;
begin
    loop
        perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        select detection_batch_size
        into batch_size
        from scooters_ops.config_in_force
        where detection_enabled;
        exit when not found or not scooters_ops.try_detection_lock();

        due_mission_ids := coalesce(due_mission_ids, scooters_ops.due_missions(now()));
        perform scooters_ops.detect_timeouts_of(
            due_mission_ids[looked_at + 1:looked_at + batch_size],
            now(),
            greatest(cardinality(due_mission_ids) - looked_at - batch_size, 0)
        );
        looked_at := looked_at + batch_size;
        is_last := looked_at >= cardinality(due_mission_ids);
        commit;
        exit when is_last;
    end loop;
end
$$;

comment on procedure scooters_ops.detect_in_batches() is -- noqa: LT01
'Passes over all that is due, each over at most detection.batch_size missions and committed on its own. Ends at once where another pass is running or detection is disabled. Cannot run within a transaction (SQLSTATE 2D000).';

revoke execute on procedure scooters_ops.detect_in_batches() from public;
