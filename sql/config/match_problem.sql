-- Which match, override or calendar of a config means nothing, and why?
-- notifier/config/matches.py says the same in the same words.
create or replace function scooters_ops.match_problem(config jsonb)
returns text
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
with known as (
    select
        array_remove(
            enum_range(null::scooters_ops.monitoring_notification_type)::text[], 'test'
        ) as types,
        array(
            select jsonb_object_keys(match_problem.config #> '{detection,timeouts}')
            order by 1
        ) as timeout_types
),

listed as (
    select
        2 as scope_n,
        route.n,
        format('routes[%s].match', route.n - 1) as path,
        known.types,
        route.value -> 'match' as match
    from known
    cross join jsonb_array_elements(match_problem.config -> 'routes')
        with ordinality as route (value, n)
    union all
    select
        1,
        override.n,
        format('detection.overrides[%s].match', override.n - 1),
        known.timeout_types,
        override.value -> 'match'
    from known
    cross join jsonb_array_elements(match_problem.config #> '{detection,overrides}')
        with ordinality as override (value, n)
),

choice as (
    select
        listed.scope_n,
        listed.n,
        listed.path
        || '.' || wanted.key
        || case jsonb_typeof(wanted.choices)
            when 'array' then format('[%s]', chosen.n - 1)
            else ''
        end as path,
        listed.types,
        wanted.key,
        chosen.n as choice_n,
        chosen.value
    from listed
    cross join lateral jsonb_each(listed.match) as wanted (key, choices)
    cross join lateral jsonb_array_elements(
        case jsonb_typeof(wanted.choices)
            when 'array' then wanted.choices
            else jsonb_build_array(wanted.choices)
        end
    ) with ordinality as chosen (value, n)
    where wanted.key in ('type', 'at')
),

problem as (
    select
        0 as scope_n,
        row_number() over (order by calendar.key collate "C") as n,
        0 as place,
        scooters_ops.json_path('calendars', calendar.key, true)
        || '.to: must differ from "from"; a whole day is from 00:00 to 24:00' as said
    from jsonb_each(match_problem.config -> 'calendars') as calendar
    where calendar.value -> 'from' = calendar.value -> 'to'
    union all
    select
        1,
        override.n,
        0,
        format(
            'detection.overrides[%s].name: is that of detection.overrides[%s], too',
            override.n - 1,
            earlier.n - 1
        )
    from jsonb_array_elements(match_problem.config #> '{detection,overrides}')
        with ordinality as override (value, n)
    cross join lateral (
        select min(other.n) as n
        from jsonb_array_elements(match_problem.config #> '{detection,overrides}')
            with ordinality as other (value, n)
        where
            other.n < override.n
            and other.value -> 'name' = override.value -> 'name'
    ) as earlier
    where earlier.n is not null
    union all
    select
        listed.scope_n,
        listed.n,
        1,
        listed.path || '.job_type: an interval has no job type'
    from listed
    where
        listed.scope_n = 1
        and listed.match ? 'job_type'
    union all
    select
        choice.scope_n,
        choice.n,
        case choice.key when 'at' then 1000 else 2000 end + choice.choice_n,
        choice.path || case choice.key
            when 'type' then ': must be one of ' || array_to_string(choice.types, ', ')
            else ': must name one of calendars'
        end
    from choice
    where
        case choice.key
            when 'type'
                then choice.value <> all(
                    array(select to_jsonb(type) from unnest(choice.types) as type)
                )
            else
                jsonb_typeof(choice.value) <> 'string'
                or not match_problem.config -> 'calendars' ? (choice.value #>> '{}')
        end
)

select problem.said
from problem
order by problem.scope_n, problem.n, problem.place
limit 1
$$;

comment on function scooters_ops.match_problem(jsonb) is
'What is wrong with the first calendar, override or match that means nothing, in a config that matches the schema: its path and the reason; null: nothing.';

revoke execute on function scooters_ops.match_problem(jsonb) from public;
