-- How many intervals a day would be overdue at which factor, and what does the minimum
-- change?
-- PL/pgSQL, because it plans with the values of the arguments: they say how much of the
-- table is read, and whether missions are.
create or replace function scooters_ops.threshold_effects(
    since timestamptz,
    until timestamptz,
    attribute text default null
)
returns table (
    type scooters_ops.monitoring_notification_type,
    value text,
    factor numeric,
    a_day numeric,
    a_day_without_minimum numeric,
    intervals bigint,
    is_few boolean,
    days numeric
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
declare
    covered_days constant numeric := (
        select
            greatest(
                extract(epoch from max(covered_until) - min(covered_from)) / 86400, 1
            )
        from scooters_ops.covered_time(since, until)
    );
begin
    return query
    select
        counted.type,
        counted.value,
        counted.factor,
        round(sum(counted.overdue) / covered_days, 3),
        round(sum(counted.overdue_without_minimum) / covered_days, 3),
        sum(counted.intervals)::bigint,
        scooters_ops.is_few(sum(counted.intervals)::bigint),
        round(covered_days, 3)
    from scooters_ops.threshold_counts(since, until, attribute) as counted
    group by counted.type, counted.value, counted.factor
    order by counted.type, counted.value collate "C" nulls first, counted.factor;
end
$$;

comment on function
scooters_ops.threshold_effects(timestamptz, timestamptz, text) is
'How many intervals a day would be overdue at a factor (a number without unit), with the minimum in force and without it, by type and the value of an attribute of the mission (null: none was asked for, or the mission has none). It counts the closed recorded intervals with an eta that began in the window; intervals: how many there are; is_few: fewer than 30, little more than chance; days: how many days of the window recorded intervals cover, by which it divides, at least 1. SQLSTATE 22004, 22023: names the argument.';

revoke execute on function
scooters_ops.threshold_effects(timestamptz, timestamptz, text) from public;
grant execute on function
scooters_ops.threshold_effects(timestamptz, timestamptz, text) to scooters_ops_analyst;
