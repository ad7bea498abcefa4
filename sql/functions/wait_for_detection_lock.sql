-- When am I the one that takes wake-ups, until my transaction ends?
-- For what must happen between two passes, however busy they are. It waits for the
-- running one alone: whoever only tries meanwhile is refused.
create or replace function scooters_ops.wait_for_detection_lock()
returns void
language sql volatile
as $$
select pg_advisory_xact_lock('scooters_ops.mission_wakeups'::regclass::oid::bigint)
$$;

comment on function scooters_ops.wait_for_detection_lock() is
'Takes the lock of try_detection_lock until the end of the transaction, waiting for the pass that holds it.';

revoke execute on function scooters_ops.wait_for_detection_lock() from public;
