-- What did earlier versions have that this version does not need?
-- It is dropped here and not by a migration, because notifiers plan and record by their
-- version's functions until this transaction commits.
do $$
begin
    drop function if exists scooters_ops.note_channels(jsonb);
    drop function if exists scooters_ops.follow_clock();
    drop function if exists scooters_ops.lock_undelivered(text, text, text[]);
    drop function if exists scooters_ops.resume_channels(text[]);
    drop function if exists scooters_ops.send_allowance(timestamptz[], jsonb);
    drop function if exists scooters_ops.target_rules(jsonb, text);

    -- Its counts go on as planned_totals().
    if to_regclass('scooters_ops.notification_counts') is not null then
        lock table scooters_ops.notification_counts in access exclusive mode;
        perform setval(('scooters_ops.planned_' || type)::regclass, sum(planned)::bigint)
        from scooters_ops.notification_counts
        group by type
        having sum(planned) > 0;
        drop table scooters_ops.notification_counts;
    end if;
end
$$;
