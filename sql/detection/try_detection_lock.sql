-- Take the detection lock for this transaction; false if another session holds it.
-- The lock is on a table of ours, so that nobody can hold it who may not write there,
-- and everybody can see in pg_locks who does.
create or replace function scooters_ops.try_detection_lock()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    lock table scooters_ops.detection_lock in share update exclusive mode nowait;
    return true;
exception
    when lock_not_available then
        return false;
end
$$;

comment on function scooters_ops.try_detection_lock() is
'Takes the detection lock until the end of the transaction; false at once where another transaction holds it. No writer, skip_job or notifier ever takes it. detection_status names who holds it.';

revoke execute on function scooters_ops.try_detection_lock() from public;
