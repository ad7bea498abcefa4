-- May I be the one that takes wake-ups, until my transaction ends?
create or replace function scooters_ops.try_detection_lock()
returns boolean
language sql volatile
as $$
select pg_try_advisory_xact_lock('scooters_ops.mission_wakeups'::regclass::oid::bigint)
$$;

comment on function scooters_ops.try_detection_lock() is
'Takes the lock of detection until the end of the transaction; false at once where another transaction holds it. No writer, skip_job or notifier ever takes it.';

revoke execute on function scooters_ops.try_detection_lock() from public;
