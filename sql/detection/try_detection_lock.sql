-- Take the detection lock for this transaction; false if another session holds it.
-- It is a lock on a table rather than an advisory lock: only those who may write to the
-- table can hold it, and pg_locks shows who does.
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
'Takes the detection lock until the end of the transaction; returns false at once if another transaction holds it. Writers, skip_job and notifiers never take it. detection_status names the session that holds it.';

revoke execute on function scooters_ops.try_detection_lock() from public;
