-- What does a match say, apart from which values of a mission's keys it accepts?
-- Values of another kind than text can equal no type, job type, point or calendar. It
-- is looked up by one key of the mission, that which fewest missions may have.
create or replace function scooters_ops.match_rule(match jsonb)
returns table (
    term_count bigint,
    anchor_key text,
    types text[],
    job_types text[],
    point_ids text[],
    calendars text[]
)
language sql immutable parallel safe
begin atomic -- noqa: disable=all
with choice as materialized (
    select
        chosen.key,
        chosen.value,
        chosen.key in ('type', 'job_type', 'point_id', 'at') as is_of_event
    from scooters_ops.match_choices(match_rule.match) as chosen
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
    where choice.is_of_event
    group by choice.key
),

mission_key as (
    select
        choice.key,
        count(*) as choices
    from choice
    where not choice.is_of_event
    group by choice.key
)

select
    (select count(*) from mission_key),
    (
        select mission_key.key
        from mission_key
        order by
            mission_key.key = 'mission_id' desc,
            mission_key.key = 'performer_id' desc,
            mission_key.choices,
            mission_key.key
        limit 1
    ),
    (select event_choice.choices from event_choice where event_choice.key = 'type'),
    (select event_choice.choices from event_choice where event_choice.key = 'job_type'),
    (select event_choice.choices from event_choice where event_choice.key = 'point_id'),
    (select event_choice.choices from event_choice where event_choice.key = 'at');
end; -- noqa: enable=all

comment on function scooters_ops.match_rule(jsonb) is
'One row: about how many keys of the mission a match (JSON object, as in routes[].match) says something (a count), the one by which it is looked up (null: none), and the types, job types, points and calendars (names) that it accepts (null: any).';

revoke execute on function scooters_ops.match_rule(jsonb) from public;
grant execute on function scooters_ops.match_rule(jsonb) to scooters_ops_analyst;
