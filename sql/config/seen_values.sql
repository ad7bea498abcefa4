-- Which values did the missions of the last 30 days have?
-- One bounded look: of each hour the first 100 intervals, by index. If no hour has
-- more, these are all.
create or replace function scooters_ops.seen_values(
    wanted jsonb,
    zone_attributes text[] default '{}'
)
returns table (key text, value jsonb, missions bigint, is_time_zone boolean)
language sql stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
with sampled as materialized (
    select distinct found.mission_id
    from generate_series(1, 30 * 24) as hour (n)
    cross join lateral (
        select seen.mission_id
        from scooters_ops.recorded_intervals as seen
        where
            seen.started_at >= now() - hour.n * interval '1 hour'
            and seen.started_at < now() - (hour.n - 1) * interval '1 hour'
        order by seen.started_at
        limit 100
    ) as found
),

mission as materialized (
    select
        sampled.mission_id,
        found.facts
    from sampled
    cross join lateral (
        select
            (mission.attributes - array['type', 'job_type', 'mission_id', 'point_id', 'at'])
            || jsonb_build_object('performer_id', mission.performer_id) as facts
        from scooters_ops.missions as mission
        where mission.mission_id = sampled.mission_id
        limit 1
    ) as found
),

had as (
    select
        fact.key,
        fact.value,
        count(*) as missions
    from mission
    cross join lateral jsonb_each(mission.facts) as fact
    where
        seen_values.wanted ? fact.key
        or fact.key = any(seen_values.zone_attributes)
    group by fact.key, fact.value
    union all
    select
        'job_type',
        to_jsonb(job.type),
        count(*)
    from mission
    cross join lateral (
        select distinct planned.type
        from scooters_ops.mission_jobs as planned
        where planned.mission_id = mission.mission_id
    ) as job
    where seen_values.wanted ? 'job_type'
    group by job.type
),

zone as materialized (
    select known.name
    from scooters_ops.attribute_time_zones() as known (name)
    where seen_values.zone_attributes <> '{}'
),

judged as (
    select
        had.*,
        case
            when had.key = any(seen_values.zone_attributes)
                then lower((had.value #>> '{}') collate "C") in (select zone.name from zone)
        end as is_time_zone
    from had
),

ranked as (
    select
        judged.*,
        row_number() over (
            partition by judged.key
            order by
                coalesce(
                    seen_values.wanted -> judged.key @> jsonb_build_array(judged.value), false
                ) desc,
                coalesce(judged.is_time_zone, true),
                judged.missions desc,
                judged.value
        ) as place
    from judged
),

attribute as (
    select
        name.key,
        count(*) as missions
    from mission
    cross join lateral jsonb_object_keys(mission.facts) as name (key)
    group by name.key
    order by count(*) desc, name.key
    limit 1000
)

select
    ranked.key,
    ranked.value,
    ranked.missions,
    ranked.is_time_zone
from ranked
where
    ranked.place <= 1000
    and octet_length(ranked.value::text) <= 1000
union all
select
    attribute.key,
    null,
    attribute.missions,
    null
from attribute
union all
select
    null,
    null,
    count(*),
    null
from mission
$$;

comment on function scooters_ops.seen_values(jsonb, text[]) is
'Of missions with intervals in the last 30 days (all of them, if no hour has more than 100 intervals), how many had each value of the keys of wanted ({"city": ["Moscow"]}, an object of arrays: performer_id, job_type and attributes) and of zone_attributes: the wanted values and the most frequent ones, at most 1,000 of a key. is_time_zone: whether this server knows the time zone; null: not asked. value null: how many have the attribute at all; key null as well: how many missions were looked at.';

revoke execute on function scooters_ops.seen_values(jsonb, text[]) from public;
grant execute on function scooters_ops.seen_values(jsonb, text[])
to scooters_ops_analyst, scooters_ops_notifier;
