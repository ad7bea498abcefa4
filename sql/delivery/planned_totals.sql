-- How many notifications of each type were ever planned?
-- A sequence counts each type: planning never waits for it, and pruning does not change
-- it. It counts too many only if plan_deliveries fails to commit, or after a crash of
-- the server (at most 32 of each type).
do $$
declare
    sequence_name text;
begin
    for sequence_name in
        select 'planned_' || known.type
        from unnest(
            enum_range(null::scooters_ops.monitoring_notification_type)
        ) as known (type)
        where known.type::text <> 'test'
    loop
        execute format('create sequence if not exists scooters_ops.%I', sequence_name);
    end loop;
end
$$;

create or replace function scooters_ops.planned_totals()
returns table (type scooters_ops.monitoring_notification_type, planned bigint)
language sql stable
security definer
set search_path = pg_catalog, pg_temp
as $$
select
    known.type,
    coalesce(
        pg_sequence_last_value(to_regclass('scooters_ops.planned_' || known.type)), 0
    )
from unnest(
    enum_range(null::scooters_ops.monitoring_notification_type)
) as known (type)
where known.type::text <> 'test'
$$;

comment on function scooters_ops.planned_totals() is
'How many notifications of each type plan_deliveries() has ever planned (a count); pruning does not change it.';

revoke execute on function scooters_ops.planned_totals() from public;
grant execute on function scooters_ops.planned_totals()
to scooters_ops_analyst, scooters_ops_notifier;
