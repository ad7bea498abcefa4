-- Has a session that takes the detection lock again and again kept passes out?
-- A pass does not wait for the lock, so it would hardly ever find the time between two
-- batches. The session therefore runs what is due itself, if passes have been running.
-- For search_path see detect_in_batches.
create or replace procedure scooters_ops.detect_between_batches()
language plpgsql
as $$
declare
    is_due boolean;
begin
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    is_due := exists (
        select
        from scooters_ops.config_in_force as in_force
        cross join lateral (
            select passed.started_at
            from scooters_ops.detection_passes as passed
            order by passed.pass_id desc
            limit 1
        ) as last_pass
        where
            last_pass.started_at
            between now() - in_force.stalled_after and now() - interval '1 second'
    );
    commit;
    if is_due then
        call scooters_ops.detect_in_batches();
    end if;
end
$$;

comment on procedure scooters_ops.detect_between_batches() is -- noqa: LT01
'Calls detect_in_batches() if the last pass started more than a second ago, but less than detection.stalled_after_seconds. Cannot run within a transaction (SQLSTATE 2D000).';

revoke execute on procedure scooters_ops.detect_between_batches() from public;
