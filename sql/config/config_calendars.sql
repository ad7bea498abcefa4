-- Which times does each calendar of this config cover?
create or replace function scooters_ops.config_calendars(config jsonb)
returns table (
    name text,
    from_time time,
    span interval,
    days smallint[],
    time_zone text,
    zone_attribute text
)
language sql stable parallel safe
begin atomic -- noqa: disable=all
select
    calendar.key,
    shown.from_time,
    shown.to_time - shown.from_time
    + case when shown.to_time > shown.from_time then interval '0' else '24 hours' end,
    (
        select array_agg(day.n::smallint order by day.n)
        from unnest(array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])
            with ordinality as day (name, n)
        where calendar.value -> 'days' ? day.name
    ),
    case
        when jsonb_typeof(calendar.value -> 'time_zone') = 'string'
            then calendar.value ->> 'time_zone'
        else config_calendars.config #>> '{notifier,time_zone}'
    end,
    calendar.value #>> '{time_zone,attribute}'
from jsonb_each(config_calendars.config -> 'calendars') as calendar
cross join lateral (
    select
        (calendar.value ->> 'from')::time as from_time,
        (calendar.value ->> 'to')::time as to_time
) as shown;
end; -- noqa: enable=all

comment on function scooters_ops.config_calendars(jsonb) is
'The calendars of a config with its defaults, as the view calendars shows those of the config in force.';

revoke execute on function scooters_ops.config_calendars(jsonb) from public;
grant execute on function scooters_ops.config_calendars(jsonb) to scooters_ops_analyst;
