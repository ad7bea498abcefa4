-- How many intervals a day would be overdue at which factor?
create or replace function scooters_ops.threshold_advice(
    since timestamptz,
    until timestamptz,
    attribute text default null
)
returns table (
    type scooters_ops.monitoring_notification_type,
    value text,
    factor numeric,
    a_day numeric,
    intervals bigint
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select
    effect.type,
    effect.value,
    effect.factor,
    effect.a_day,
    effect.intervals
from scooters_ops.threshold_effects(since, until, attribute) as effect
$$;

comment on function scooters_ops.threshold_advice(timestamptz, timestamptz, text) is
'How many intervals a day would be overdue at a factor (a number without unit), with the minimum in force, by type and the value of an attribute of the mission (null: none was asked for, or the mission has none); intervals: how many it rests on. threshold_effects says more. SQLSTATE 22004, 22023: names the argument.';

revoke execute on function
scooters_ops.threshold_advice(timestamptz, timestamptz, text) from public;
grant execute on function
scooters_ops.threshold_advice(timestamptz, timestamptz, text) to scooters_ops_analyst;
