-- Why does a match not hold?
-- It names the first key that fails, in this order: type, job_type, what the mission is
-- like (by name), point_id, at. Whether it holds is for matches_for() alone to say.
create or replace function scooters_ops.match_failures(
    scope text,
    facts jsonb,
    at timestamptz
)
returns table (match_id bigint, key text)
language sql stable
begin atomic -- noqa: disable=all
with asked as (
    select
        term.match_id,
        term.key,
        coalesce(
            bool_or(
                term.value = scooters_ops.mission_fact(
                    term.key,
                    match_failures.facts ->> 'mission_id',
                    match_failures.facts ->> 'performer_id',
                    match_failures.facts -> 'attributes'
                )
            ),
            false
        ) as holds
    from scooters_ops.match_terms as term
    where term.scope = match_failures.scope
    group by term.match_id, term.key
),

failed as (
    select
        asked.match_id,
        min(asked.key) as key
    from asked
    where not asked.holds
    group by asked.match_id
)

select
    rule.match_id,
    case
        when rule.match_id in (
            select matching.match_id
            from scooters_ops.matches_for(
                match_failures.scope, match_failures.facts, match_failures.at
            ) as matching (match_id)
        ) then null
        when not coalesce(
            match_failures.facts ->> 'type' = any(rule.types), rule.types is null
        ) then 'type'
        when not coalesce(
            match_failures.facts ->> 'job_type' = any(rule.job_types), rule.job_types is null
        ) then 'job_type'
        when failed.key is not null then failed.key
        when not coalesce(
            match_failures.facts ->> 'point_id' = any(rule.point_ids), rule.point_ids is null
        ) then 'point_id'
        else 'at'
    end as key
from scooters_ops.match_rules as rule
left join failed
    on failed.match_id = rule.match_id
where rule.scope = match_failures.scope;
end; -- noqa: enable=all

comment on function scooters_ops.match_failures(text, jsonb, timestamptz) is
'For each match of a scope (route, override, silence) the first key that does not hold at this time for a notification with these facts (JSON object, as in matches_for); null: the match holds.';

revoke execute on function scooters_ops.match_failures(text, jsonb, timestamptz)
from public;
