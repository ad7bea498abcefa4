-- What does a match ask for, as the rows that missions are looked up in?
-- The calendars that it names are those of the config that compile_config() read last.
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
    select *
    from scooters_ops.match_choices(compile_match.match) as chosen
    where chosen.key not in ('type', 'job_type', 'point_id', 'at')
),

rule as materialized (
    select *
    from scooters_ops.match_rule(compile_match.match)
),

term as (
    insert into scooters_ops.compiled_terms (scope, match_id, key, value)
    select
        compile_match.scope,
        compile_match.match_id,
        choice.key,
        choice.value
    from choice
    order by choice.key, choice.value
),

asked as (
    insert into scooters_ops.compiled_keys (scope, key)
    select
        compile_match.scope,
        rule.anchor_key
    from rule
    where rule.anchor_key is not null
    on conflict do nothing
),

known as (
    insert into scooters_ops.compiled_matches (
        scope, match_id, term_count, types, job_types, point_ids, calendars
    )
    select
        compile_match.scope,
        compile_match.match_id,
        rule.term_count,
        rule.types,
        rule.job_types,
        rule.point_ids,
        rule.calendars
    from rule
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
    compile_match.scope,
    choice.key,
    choice.value,
    compile_match.match_id,
    rule.term_count,
    rule.types,
    rule.job_types,
    rule.point_ids,
    calendar.from_time,
    calendar.span,
    calendar.days,
    calendar.time_zone,
    calendar.zone_attribute
from rule
left join choice
    on rule.anchor_key = choice.key
left join scooters_ops.compiled_calendars as calendar
    on calendar.name = any(rule.calendars)
where rule.calendars is null or calendar.name is not null
$$;

comment on function scooters_ops.compile_match(text, bigint, jsonb) is
'Stores a match (JSON object, as in routes[].match) of a scope (route, override, silence) as the rows that matches_for() reads.';

revoke execute on function scooters_ops.compile_match(text, bigint, jsonb) from public;
