-- Take the detection lock for this transaction; wait if another session holds it.
-- For work that must happen between two passes, however busy detection is.
create or replace function scooters_ops.wait_for_detection_lock()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    lock table scooters_ops.detection_lock in share update exclusive mode;
end
$$;

comment on function scooters_ops.wait_for_detection_lock() is
'Takes the detection lock until the end of the transaction, waiting for the pass that holds it.';

revoke execute on function scooters_ops.wait_for_detection_lock() from public;
