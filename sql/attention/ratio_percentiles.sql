-- How many times its eta does an interval last?
-- PL/pgSQL, because it plans with the values of the arguments.
create or replace function scooters_ops.ratio_percentiles(
    since timestamptz,
    until timestamptz,
    attribute text default null
)
returns table (
    type scooters_ops.monitoring_notification_type,
    value text,
    p50 numeric,
    p75 numeric,
    p90 numeric,
    p95 numeric,
    p99 numeric,
    intervals bigint,
    is_few boolean
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
begin
    return query
    with counted as (
        select
            found.type,
            found.value,
            found.ratio,
            sum(sum(found.intervals)) over (
                partition by found.type, found.value
                order by found.ratio
            ) as reached,
            sum(sum(found.intervals)) over (
                partition by found.type, found.value
            ) as intervals
        from scooters_ops.ratio_counts(since, until, attribute) as found
        group by found.type, found.value, found.ratio
    )

    select
        counted.type,
        counted.value,
        min(counted.ratio) filter (where reached >= intervals * 0.5),
        min(counted.ratio) filter (where reached >= intervals * 0.75),
        min(counted.ratio) filter (where reached >= intervals * 0.9),
        min(counted.ratio) filter (where reached >= intervals * 0.95),
        min(counted.ratio) filter (where reached >= intervals * 0.99),
        max(counted.intervals)::bigint,
        scooters_ops.is_few(max(counted.intervals)::bigint)
    from counted
    group by counted.type, counted.value
    order by counted.type, counted.value collate "C" nulls first;
end
$$;

comment on function
scooters_ops.ratio_percentiles(timestamptz, timestamptz, text) is
'Percentiles of elapsed / eta (numbers without unit, to the hundredth) of the closed recorded intervals that began in a window, by type and the value of an attribute of the mission (null: none was asked for, or the mission has none). A percentile is a ratio that occurred: the least one that so many percent do not exceed. intervals: how many it rests on; is_few: fewer than 30, little more than chance. SQLSTATE 22004, 22023: names the argument.';

revoke execute on function
scooters_ops.ratio_percentiles(timestamptz, timestamptz, text) from public;
grant execute on function
scooters_ops.ratio_percentiles(timestamptz, timestamptz, text) to scooters_ops_analyst;
