-- Which time zone of a config is unknown to this server?
create or replace function scooters_ops.time_zone_problem(config jsonb)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
select named.path || ': is not a time zone such as UTC or Europe/Moscow'
from (
    select
        'notifier.time_zone' as path,
        time_zone_problem.config #>> '{notifier,time_zone}' as zone
    union all
    select
        scooters_ops.json_path('calendars', calendar.key, true) || '.time_zone',
        calendar.value ->> 'time_zone'
    from jsonb_each(time_zone_problem.config -> 'calendars') as calendar
    where jsonb_typeof(calendar.value -> 'time_zone') = 'string'
) as named
where
    named.zone not in (
        select known.name
        from pg_catalog.pg_timezone_names as known
    )
order by named.path
limit 1
$$;

comment on function scooters_ops.time_zone_problem(jsonb) is
'What is wrong with the first time zone of a config that this server does not know: its path and the reason; null: it knows all of them.';

revoke execute on function scooters_ops.time_zone_problem(jsonb) from public;
