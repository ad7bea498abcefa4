-- Which matches hold for a mission, as far as its own facts go?
-- One look by index for each key that any match of the scope asks for, however many
-- matches there are. What they say of the type, the point and the time is left to
-- is_match(). The function is plain SQL without settings, so that it can be inlined.
create or replace function scooters_ops.mission_matches(
    scope text,
    mission_id text,
    performer_id text,
    attributes jsonb
)
returns table (
    match_id bigint,
    types text[],
    job_types text[],
    point_ids text[],
    calendars text[]
)
language sql stable parallel safe
begin atomic -- noqa: disable=all
with mission as (
    select
        coalesce(mission_matches.attributes, '{}') || jsonb_build_object(
            'mission_id', mission_matches.mission_id,
            'performer_id', mission_matches.performer_id
        ) as facts
),

held as (
    select
        term.match_id,
        count(*) as term_count
    from mission
    cross join scooters_ops.match_keys as asked
    inner join scooters_ops.match_terms as term
        on
            term.scope = asked.scope
            and term.key = asked.key
            and term.value = mission.facts -> asked.key
    where asked.scope = mission_matches.scope
    group by term.match_id
)

select
    rule.match_id,
    rule.types,
    rule.job_types,
    rule.point_ids,
    rule.calendars
from held
inner join scooters_ops.match_rules as rule
    on
        rule.scope = mission_matches.scope
        and rule.match_id = held.match_id
        and rule.term_count = held.term_count
union all
select
    rule.match_id,
    rule.types,
    rule.job_types,
    rule.point_ids,
    rule.calendars
from scooters_ops.match_rules as rule
where
    rule.scope = mission_matches.scope
    and rule.term_count = 0;
end; -- noqa: enable=all

comment on function scooters_ops.mission_matches(text, text, text, jsonb) is
'The matches of a scope (route, override, silence) whose terms hold for a mission with this courier and these attributes (JSON object); the columns are those of match_rules.';

revoke execute on function scooters_ops.mission_matches(text, text, text, jsonb)
from public;
grant execute on function scooters_ops.mission_matches(text, text, text, jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
