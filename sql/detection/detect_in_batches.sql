-- What has become overdue? Everything that is due, each pass committed on its own.
-- pg_cron calls this. However much is due, each pass records no more than
-- detection.batch_size missions and judges no more recorded intervals of each type, and
-- what it inserted can be delivered during the next one. A pass that fails is rolled
-- back together with the wake-ups that it took.
-- A procedure that commits cannot have a search_path of its own, so each transaction
-- sets it first. The code before that must not look up any name.
create or replace procedure scooters_ops.detect_in_batches()
language plpgsql
as $$
declare
    batch pg_catalog.record;
    is_complete boolean;
begin
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    if not scooters_ops.try_detection_lock() then
        return;
    end if;
    for batch in
        select
            due.mission_ids,
            due.still_due
        from scooters_ops.due_batches(now()) as due
    loop
        loop
            perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            if
                not exists (select from scooters_ops.config_in_force where detection_enabled)
                or not scooters_ops.try_detection_lock()
            then
                return;
            end if;
            select pass.is_complete
            into is_complete
            from scooters_ops.run_pass(batch.mission_ids, now(), batch.still_due) as pass;
            commit;
            exit when is_complete;
            batch.mission_ids := '{}';
        end loop;
    end loop;
end
$$;

comment on procedure scooters_ops.detect_in_batches() is -- noqa: LT01
'Runs passes over everything that is due, each over at most detection.batch_size missions and as many recorded intervals of each type, and committed on its own. Ends at once if another pass is running or detection is disabled. Cannot run within a transaction (SQLSTATE 2D000).';

revoke execute on procedure scooters_ops.detect_in_batches() from public;
