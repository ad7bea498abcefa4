-- Which of our own records are too old, and which wake-ups are redundant?
create or replace function scooters_ops.prune_bookkeeping()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    test_kept constant interval := interval '1 day';
    forgotten_tests bigint[];
begin
    delete from scooters_ops.detection_passes
    using scooters_ops.config_in_force as in_force
    where started_at < now() - in_force.passes_kept;

    delete from scooters_ops.event_keys
    using scooters_ops.config_in_force as in_force
    where created_at < now() - in_force.idempotency_keys_kept;

    delete from scooters_ops.notifiers
    using scooters_ops.config_in_force as in_force
    where seen_at < now() - in_force.notifiers_kept;

    -- Tests whose sender was killed, whatever became of them. Recipients are locked
    -- before notifications, as in record_deliveries.
    select array_agg(notification_id)
    into forgotten_tests
    from scooters_ops.monitoring_notifications
    where
        mission_id = 'test'
        and type = 'test'
        and created_at < now() - test_kept;

    perform
    from scooters_ops.notification_recipients
    where notification_id = any(forgotten_tests)
    order by recipient_id
    for update;

    delete from scooters_ops.monitoring_notifications
    where notification_id = any(forgotten_tests);

    perform scooters_ops.prune_silences();

    -- While no pass runs, the wake-ups of a mission pile up; its earliest is enough.
    if scooters_ops.try_detection_lock() then
        perform scooters_ops.fold_durations();

        delete from scooters_ops.mission_wakeups
        where ctid in (
            select ranked.ctid
            from (
                select
                    ctid,
                    row_number() over (
                        partition by mission_id order by due_at, woken_at
                    ) as place
                from scooters_ops.mission_wakeups
            ) as ranked
            where ranked.place > 1
        );
    end if;
end
$$;

comment on function scooters_ops.prune_bookkeeping() is
'Deletes records of passes older than retention.passes_seconds, keys of events older than retention.idempotency_keys_seconds, notifiers not seen for retention.notifiers_seconds, messages of notifier test that nobody ended for a day, silences that are over (prune_silences), and wake-ups of missions that have an earlier one; folds durations (fold_durations).';

revoke execute on function scooters_ops.prune_bookkeeping() from public;
