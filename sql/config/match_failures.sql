-- Why does a match of this config not hold?
-- It asks any config, be it in force or not, and so reads the config itself rather than
-- the rows that planning looks up. The first key that fails is named, in this order:
-- type, job_type, what the mission is like (by name), point_id, at.
create or replace function scooters_ops.match_failures(
    config jsonb,
    scope text,
    facts jsonb,
    at timestamptz
)
returns table (match_id bigint, key text)
language sql stable
begin atomic -- noqa: disable=all
with listed as materialized (
    select
        match.match_id,
        match.match,
        rule.types,
        rule.job_types,
        rule.point_ids,
        rule.calendars
    from scooters_ops.config_matches(match_failures.config) as match
    cross join lateral scooters_ops.match_rule(match.match) as rule
    where match.scope = match_failures.scope
),

calendar as materialized (
    select
        known.name,
        known.from_time,
        known.span,
        known.days,
        coalesce(
            (
                select zone.name
                from scooters_ops.attribute_time_zones() as zone (name)
                where
                    known.zone_attribute is not null
                    and zone.name = lower(
                        (match_failures.facts -> 'attributes' ->> known.zone_attribute)
                        collate "C"
                    )
            ),
            known.time_zone
        ) as time_zone
    from scooters_ops.config_calendars(match_failures.config) as known
    where known.name in (select unnest(listed.calendars) from listed)
),

failed_term as (
    select
        asked.match_id,
        min(asked.key) as key
    from (
        select
            listed.match_id,
            choice.key
        from listed
        cross join lateral scooters_ops.match_choices(listed.match) as choice
        where choice.key not in ('type', 'job_type', 'point_id', 'at')
        group by listed.match_id, choice.key
        having
            bool_or(
                choice.value = scooters_ops.mission_fact(
                    choice.key,
                    match_failures.facts ->> 'mission_id',
                    match_failures.facts ->> 'performer_id',
                    match_failures.facts -> 'attributes'
                )
            ) is not true
    ) as asked
    group by asked.match_id
)

select
    listed.match_id,
    case
        when
            not coalesce(
                match_failures.facts ->> 'type' = any(listed.types), listed.types is null
            )
            then 'type'
        when
            not coalesce(
                match_failures.facts ->> 'job_type' = any(listed.job_types),
                listed.job_types is null
            )
            then 'job_type'
        when failed_term.key is not null then failed_term.key
        when
            not coalesce(
                match_failures.facts ->> 'point_id' = any(listed.point_ids),
                listed.point_ids is null
            )
            then 'point_id'
        when
            listed.calendars is not null
            and not exists (
                select
                from calendar
                where
                    calendar.name = any(listed.calendars)
                    and scooters_ops.is_match(
                        null,
                        null,
                        null,
                        calendar.from_time,
                        calendar.span,
                        calendar.days,
                        calendar.time_zone,
                        null,
                        null,
                        null,
                        match_failures.at
                    )
            )
            then 'at'
    end as key
from listed
left join failed_term using (match_id);
end; -- noqa: enable=all

comment on function scooters_ops.match_failures(jsonb, text, jsonb, timestamptz) is
'For each match of a scope (route, override) of a config with its defaults the first key that does not hold at this time for a notification with these facts (JSON object, as in matches_for); null: the match holds. It agrees with matches_for() where the config is in force.';

revoke execute on function
scooters_ops.match_failures(jsonb, text, jsonb, timestamptz) from public;
