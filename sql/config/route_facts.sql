-- Whom do the routes in force tell of this, and why?
create or replace function scooters_ops.route_facts(facts jsonb, at timestamptz)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
with in_force as (
    select
        config_id,
        config
    from scooters_ops.config_in_force
),

given as (
    select
        coalesce(route_facts.facts -> 'attributes', '{}')
        || (route_facts.facts - 'attributes')
        || jsonb_build_object('at', route_facts.at) as facts
),

deciding as materialized (
    select *
    from scooters_ops.matching_routes(route_facts.facts, route_facts.at)
),

asked_route as (
    select
        route.n,
        failure.key,
        route.value -> 'match' as match
    from in_force
    cross join jsonb_array_elements(in_force.config -> 'routes')
        with ordinality as route (value, n)
    inner join scooters_ops.match_failures(
        'route', route_facts.facts, route_facts.at
    ) as failure
        on failure.match_id = route.n
    where
        route.n <= coalesce(
            (
                select max(deciding.n)
                from deciding
                where not coalesce((deciding.route -> 'continue')::boolean, false)
            ),
            route.n
        )
),

-- A recipient that is named twice gets one message.
recipient as (
    select
        listed.value,
        min(array[deciding.n, listed.n]) as place
    from deciding
    cross join lateral jsonb_array_elements(deciding.route -> 'recipients')
        with ordinality as listed (value, n)
    group by listed.value
),

rule as (
    select *
    from scooters_ops.timeout_rules
    where timeout_rules.type::text = route_facts.facts ->> 'type'
),

asked_override as (
    select
        override.n,
        failure.key,
        override.value ->> 'name' as name,
        override.value -> 'match' as match,
        min(override.n) filter (where failure.key is null) over () as deciding_n
    from in_force
    cross join jsonb_array_elements(in_force.config #> '{detection,overrides}')
        with ordinality as override (value, n)
    inner join scooters_ops.match_failures(
        'override', route_facts.facts, route_facts.at
    ) as failure
        on failure.match_id = override.n
    where exists (select from rule)
)

select
    jsonb_build_object(
        'config_id', in_force.config_id,
        'at', route_facts.at,
        'time_zone', in_force.config #> '{notifier,time_zone}',
        'facts', route_facts.facts,
        'routes', (
            select
                coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'path', format('routes[%s]', asked_route.n - 1),
                            'matches', asked_route.key is null,
                            'failed_key', asked_route.key,
                            'wanted', asked_route.match -> asked_route.key,
                            'given', given.facts -> asked_route.key
                        )
                        order by asked_route.n
                    ),
                    '[]'
                )
            from asked_route
        ),
        'recipients', (
            select coalesce(jsonb_agg(recipient.value order by recipient.place), '[]')
            from recipient
        ),
        'escalations', (
            select
                coalesce(
                    jsonb_agg(
                        level.value || jsonb_build_object(
                            'path',
                            format('routes[%s].escalate[%s]', deciding.n - 1, level.n - 1),
                            'step', 'escalation_' || level.n
                        )
                        order by deciding.n, level.n
                    ),
                    '[]'
                )
            from deciding
            cross join lateral jsonb_array_elements(deciding.route -> 'escalate')
                with ordinality as level (value, n)
            -- Only a timeout has an eta.
            where
                level.value ? 'after_seconds'
                or exists (select from rule)
        ),
        'reminders', (
            select
                coalesce(
                    jsonb_agg(
                        deciding.route -> 'remind' || jsonb_build_object(
                            'path', format('routes[%s].remind', deciding.n - 1),
                            'recipients', deciding.route -> 'recipients'
                        )
                        order by deciding.n
                    ),
                    '[]'
                )
            from deciding
            where jsonb_typeof(deciding.route -> 'remind') = 'object'
        ),
        'limit', (
            select
                jsonb_build_object(
                    'rule', override.name,
                    'path', coalesce(
                        'detection.overrides[' || override.match_id - 1 || ']',
                        'detection.timeouts.' || rule.type
                    ),
                    'is_enabled', rule.is_enabled,
                    'factor', coalesce(override.factor, rule.factor),
                    'minimum_seconds', extract(
                        epoch from coalesce(override.minimum, rule.minimum)
                    )::double precision,
                    'job_eta_seconds', coalesce(
                        override.job_eta_seconds,
                        in_force.config #> '{detection,job_eta_seconds}'
                    ),
                    'default_job_eta_seconds', coalesce(
                        extract(epoch from override.default_job_eta),
                        (in_force.config #>> '{detection,default_job_eta_seconds}')::numeric
                    )::double precision,
                    'overrides', (
                        select
                            coalesce(
                                jsonb_agg(
                                    jsonb_build_object(
                                        'path',
                                        format('detection.overrides[%s]', asked_override.n - 1),
                                        'name', asked_override.name,
                                        'matches', asked_override.key is null,
                                        'failed_key', asked_override.key,
                                        'wanted', asked_override.match -> asked_override.key,
                                        'given', given.facts -> asked_override.key
                                    )
                                    order by asked_override.n
                                ),
                                '[]'
                            )
                        from asked_override
                        where
                            asked_override.n
                            <= coalesce(asked_override.deciding_n, asked_override.n)
                    )
                )
            from rule
            left join scooters_ops.override_rules as override
                on
                    override.type = rule.type
                    and override.match_id = (
                        select min(asked_override.deciding_n)
                        from asked_override
                    )
        ),
        'holds', (
            select
                coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'silence_id', silence.silence_id,
                            'match', silence.match,
                            'until', silence.ends_at,
                            'by', silence.created_by,
                            'comment', silence.comment
                        )
                        order by silence.ends_at desc, silence.silence_id
                    ),
                    '[]'
                )
            from scooters_ops.silences as silence
            where
                silence.ended_at is null
                and silence.starts_at <= route_facts.at
                and silence.ends_at > route_facts.at
                and silence.silence_id in (
                    select matching.silence_id
                    from scooters_ops.matches_for(
                        'silence', route_facts.facts, route_facts.at
                    ) as matching (silence_id)
                )
        )
    )
from in_force
cross join given;
end; -- noqa: enable=all

comment on function scooters_ops.route_facts(jsonb, timestamptz) is
'What explain_route() says about the config in force; null: there is none.';

revoke execute on function scooters_ops.route_facts(jsonb, timestamptz) from public;
