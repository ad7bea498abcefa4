-- Which level of escalate can never come, and why?
-- notifier/config/levels.py says the same in the same words.
create or replace function scooters_ops.level_problem(config jsonb)
returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
with timeout_rule as (
    select
        rule.key as type,
        (rule.value -> 'enabled')::boolean as is_enabled,
        (rule.value ->> 'factor')::double precision as factor
    from jsonb_each(config #> '{detection,timeouts}') as rule
),

-- The timeout types that a route can match. Only skipped jobs have a job type.
reachable_rule as (
    select
        route.n as route_n,
        timeout_rule.type,
        timeout_rule.is_enabled,
        timeout_rule.factor
    from jsonb_array_elements(config -> 'routes') with ordinality as route (value, n)
    cross join timeout_rule
    where
        not route.value -> 'match' ? 'job_type'
        and coalesce(
            route.value #> '{match,type}' @> to_jsonb(timeout_rule.type),
            true
        )
),

level as (
    select
        route.n as route_n,
        level.n as level_n,
        (level.value ->> 'after_seconds')::double precision as after_seconds,
        (level.value ->> 'at_factor')::double precision as at_factor,
        format('routes[%s].escalate[%s]', route.n - 1, level.n - 1) as path
    from jsonb_array_elements(config -> 'routes') with ordinality as route (value, n)
    cross join lateral jsonb_array_elements(route.value -> 'escalate')
        with ordinality as level (value, n)
),

judged as (
    select
        level.route_n,
        level.level_n,
        case
            when coalesce(level.after_seconds, level.at_factor) is null
                then level.path || ': must have after_seconds or at_factor'
            when level.after_seconds <= earlier.after_seconds
                then format(
                    '%s.after_seconds: must be more than that of %s', level.path, earlier.path
                )
            when level.at_factor is null then null
            when not exists (
                select from reachable_rule where reachable_rule.route_n = level.route_n
            )
                then level.path
                || '.at_factor: this route matches no timeout, and nothing else has an eta: '
                || 'use after_seconds'
            when level.at_factor <= rule.factor
                then format(
                    '%s.at_factor: must be more than the factor of detection.timeouts.%s',
                    level.path,
                    rule.type
                )
            when level.at_factor <= earlier.at_factor
                then format(
                    '%s.at_factor: must be more than that of %s', level.path, earlier.path
                )
        end as problem
    from level
    left join lateral (
        select
            before.path,
            before.after_seconds,
            before.at_factor
        from level as before
        where
            before.route_n = level.route_n
            and before.level_n < level.level_n
            and (before.at_factor is null) = (level.at_factor is null)
        order by before.level_n desc
        limit 1
    ) as earlier on true
    left join lateral (
        select
            reachable_rule.type,
            reachable_rule.factor
        from reachable_rule
        where
            reachable_rule.route_n = level.route_n
            and reachable_rule.is_enabled
        order by reachable_rule.factor, reachable_rule.type collate "C"
        limit 1
    ) as rule on true
)

select problem
from judged
where problem is not null
order by route_n, level_n
limit 1
$$;

comment on function scooters_ops.level_problem(jsonb) is
'What is wrong with the first level of escalate that can never come, in a config that matches the schema: its path and the reason; null: every level can come.';

revoke execute on function scooters_ops.level_problem(jsonb) from public;
