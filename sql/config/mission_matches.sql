-- Which matches hold for a mission, as far as its own facts go?
-- One look by index for each key by which matches of the scope are looked up, however
-- many matches there are. What they say of the type, the point and the time is left to
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
with matching as (
    select lookup.*
    from scooters_ops.match_keys as asked
    inner join scooters_ops.match_lookups as lookup
        on
            lookup.scope = asked.scope
            and lookup.key = asked.key
            and lookup.value = scooters_ops.mission_fact(
                asked.key,
                mission_matches.mission_id,
                mission_matches.performer_id,
                mission_matches.attributes
            )
    where
        asked.scope = mission_matches.scope
        and (
            lookup.term_count = 1
            or lookup.term_count = (
                select count(*)
                from scooters_ops.match_terms as held
                where
                    held.scope = lookup.scope
                    and held.match_id = lookup.match_id
                    and held.value = scooters_ops.mission_fact(
                        held.key,
                        mission_matches.mission_id,
                        mission_matches.performer_id,
                        mission_matches.attributes
                    )
            )
        )
    union all
    select lookup.*
    from scooters_ops.match_lookups as lookup
    where
        lookup.scope = mission_matches.scope
        and lookup.key is null
)

select
    matching.match_id,
    matching.types,
    matching.job_types,
    matching.point_ids,
    matching.from_time,
    matching.span,
    matching.days,
    case
        when matching.zone_attribute is null then matching.time_zone
        else coalesce(
            (
                select zone.name
                from scooters_ops.known_time_zones as zone
                where
                    zone.name = lower(
                        (mission_matches.attributes ->> matching.zone_attribute)
                        collate "C"
                    )
            ),
            matching.time_zone
        )
    end as time_zone
from matching;
end; -- noqa: enable=all

comment on function scooters_ops.mission_matches(text, text, text, jsonb) is
'The matches of a scope (route, override, silence) whose terms hold for a mission with this courier and these attributes (JSON object), as is_match() wants them. from_time, span, days and time_zone are those of a calendar, null: any time; a time zone that an attribute names and this server does not know counts as the calendar''s default.';

revoke execute on function scooters_ops.mission_matches(text, text, text, jsonb)
from public;
grant execute on function scooters_ops.mission_matches(text, text, text, jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
