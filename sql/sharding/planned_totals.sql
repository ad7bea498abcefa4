-- How many notifications of each type were ever planned in all shards?
create or replace function scooters_ops.planned_totals()
returns table (type scooters_ops.monitoring_notification_type, planned bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- As in build_function.sql.
set client_min_messages = warning
as $$
begin
    return query
    select
        answer.type,
        sum(answer.planned)::bigint
    from scooters_router.shards as known
    cross join lateral scooters_router.planned_totals(known.shard) as answer
    group by answer.type
    order by answer.type;
exception when others then
    raise exception using
        errcode = 'connection_failure',
        message = format(
            'no answer from %s', array_to_string(scooters_router.missing_shards(), ', ')
        ),
        detail = sqlerrm;
end
$$;
