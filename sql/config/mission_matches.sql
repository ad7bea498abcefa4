-- Which matches hold for a mission, as far as its own facts go?
-- One look by index for each key that any match of the scope asks for, however many
-- matches there are. What they say of the type, the point and the time is left to
-- is_match(): a match that names several calendars has a row for each of them. The
-- function is plain SQL without settings, so that it can be inlined.
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
    from_time time,
    span interval,
    days smallint[],
    time_zone text
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
),

matching as (
    select rule.*
    from held
    inner join scooters_ops.match_rules as rule
        on
            rule.scope = mission_matches.scope
            and rule.match_id = held.match_id
            and rule.term_count = held.term_count
    union all
    select rule.*
    from scooters_ops.match_rules as rule
    where
        rule.scope = mission_matches.scope
        and rule.term_count = 0
)

select
    matching.match_id,
    matching.types,
    matching.job_types,
    matching.point_ids,
    calendar.from_time,
    calendar.span,
    calendar.days,
    coalesce(zone.name, calendar.time_zone) as time_zone
from matching
left join scooters_ops.calendars as calendar
    on calendar.name = any(matching.calendars)
left join scooters_ops.known_time_zones as zone
    on zone.name
        = lower((mission_matches.attributes ->> calendar.zone_attribute) collate "C")
where matching.calendars is null or calendar.name is not null;
end; -- noqa: enable=all

comment on function scooters_ops.mission_matches(text, text, text, jsonb) is
'The matches of a scope (route, override, silence) whose terms hold for a mission with this courier and these attributes (JSON object), as is_match() wants them. from_time, span, days and time_zone are those of a calendar, null: any time; a time zone that an attribute names and this server does not know counts as the calendar''s default.';

revoke execute on function scooters_ops.mission_matches(text, text, text, jsonb)
from public;
grant execute on function scooters_ops.mission_matches(text, text, text, jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
