-- What does a match ask for, as rows?
-- It is looked up by one of its keys, the one that fewest missions may have. The
-- calendars that it names are those of the config that compile_config() read last.
-- Values of another kind than text can equal no type, job type, point or calendar.
create or replace function scooters_ops.compile_match(
    scope text,
    match_id bigint,
    match jsonb
)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
with choice as materialized (
    select distinct
        wanted.key collate "C" as key,
        chosen.value
    from jsonb_each(compile_match.match) as wanted (key, choices)
    cross join lateral jsonb_array_elements(
        case jsonb_typeof(wanted.choices)
            when 'array' then wanted.choices
            else jsonb_build_array(wanted.choices)
        end
    ) as chosen (value)
),

event_choice as (
    select
        choice.key,
        coalesce(
            array_agg(choice.value #>> '{}' order by choice.value #>> '{}') filter (
                where jsonb_typeof(choice.value) = 'string'
            ),
            '{}'
        ) as choices
    from choice
    where choice.key in ('type', 'job_type', 'point_id', 'at')
    group by choice.key
),

mission_key as (
    select
        choice.key,
        row_number() over (
            order by
                choice.key = 'mission_id' desc,
                choice.key = 'performer_id' desc,
                count(*),
                choice.key
        ) = 1 as is_anchor
    from choice
    where choice.key not in ('type', 'job_type', 'point_id', 'at')
    group by choice.key
),

term as (
    insert into scooters_ops.compiled_terms (scope, match_id, key, value)
    select
        compile_match.scope,
        compile_match.match_id,
        choice.key,
        choice.value
    from choice
    inner join mission_key using (key)
    order by choice.key, choice.value
),

asked as (
    insert into scooters_ops.compiled_keys (scope, key)
    select
        compile_match.scope,
        mission_key.key
    from mission_key
    where mission_key.is_anchor
    on conflict do nothing
),

known as (
    insert into scooters_ops.compiled_matches (
        scope, match_id, term_count, types, job_types, point_ids, calendars
    )
    select
        compile_match.scope,
        compile_match.match_id,
        (select count(*) from mission_key),
        (select choices from event_choice where key = 'type'),
        (select choices from event_choice where key = 'job_type'),
        (select choices from event_choice where key = 'point_id'),
        (select choices from event_choice where key = 'at')
    returning *
)

insert into scooters_ops.compiled_lookups (
    scope,
    key,
    value,
    match_id,
    term_count,
    types,
    job_types,
    point_ids,
    from_time,
    span,
    days,
    time_zone,
    zone_attribute
)
select
    known.scope,
    anchor.key,
    anchor.value,
    known.match_id,
    known.term_count,
    known.types,
    known.job_types,
    known.point_ids,
    calendar.from_time,
    calendar.span,
    calendar.days,
    calendar.time_zone,
    calendar.zone_attribute
from known
left join (
    select
        choice.key,
        choice.value
    from choice
    inner join mission_key using (key)
    where mission_key.is_anchor
) as anchor on true
left join scooters_ops.compiled_calendars as calendar
    on calendar.name = any(known.calendars)
where known.calendars is null or calendar.name is not null
$$;

comment on function scooters_ops.compile_match(text, bigint, jsonb) is
'Stores a match (JSON object, as in routes[].match) of a scope (route, override, silence) as the rows that matches_for() reads.';

revoke execute on function scooters_ops.compile_match(text, bigint, jsonb) from public;
