-- Where are the counts that earlier versions kept in a table continued?
-- Notifiers count in this table until the transaction that installs sql/ commits; from
-- then on planned_totals() continues the counts.
do $$
begin
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
