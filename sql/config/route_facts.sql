-- Whom do the routes of this config tell of this, and why?
create or replace function scooters_ops.route_facts(
    config jsonb,
    facts jsonb,
    at timestamptz
)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
with given as (
    select
        coalesce(route_facts.facts -> 'attributes', '{}')
        || (route_facts.facts - 'attributes')
        || jsonb_build_object('at', route_facts.at) as facts
),

asked_route as materialized (
    select
        listed.n,
        listed.route,
        listed.key
    from (
        select
            route.n,
            route.value as route,
            failure.key,
            -- The first that holds decides, unless it says "continue".
            min(route.n) filter (
                where
                    failure.key is null
                    and not coalesce((route.value -> 'continue')::boolean, false)
            ) over () as deciding_n
        from jsonb_array_elements(route_facts.config -> 'routes')
            with ordinality as route (value, n)
        inner join scooters_ops.match_failures(
            route_facts.config, 'route', route_facts.facts, route_facts.at
        ) as failure
            on failure.match_id = route.n
    ) as listed
    where listed.n <= coalesce(listed.deciding_n, listed.n)
),

deciding as (
    select
        asked_route.n,
        asked_route.route
    from asked_route
    where asked_route.key is null
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
    from scooters_ops.config_timeout_rules(route_facts.config) as known
    where known.type::text = route_facts.facts ->> 'type'
),

asked_override as (
    select
        override.n,
        failure.key,
        override.value ->> 'name' as name,
        override.value -> 'match' as match,
        min(override.n) filter (where failure.key is null) over () as deciding_n
    from jsonb_array_elements(route_facts.config #> '{detection,overrides}')
        with ordinality as override (value, n)
    inner join scooters_ops.match_failures(
        route_facts.config, 'override', route_facts.facts, route_facts.at
    ) as failure
        on failure.match_id = override.n
    where exists (select from rule)
)

select
    jsonb_build_object(
        'at', route_facts.at,
        'time_zone', route_facts.config #> '{notifier,time_zone}',
        'facts', route_facts.facts,
        'routes', (
            select
                coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'path', format('routes[%s]', asked_route.n - 1),
                            'matches', asked_route.key is null,
                            'failed_key', asked_route.key,
                            'wanted', asked_route.route -> 'match' -> asked_route.key,
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
                        route_facts.config #> '{detection,job_eta_seconds}'
                    ),
                    'default_job_eta_seconds', coalesce(
                        extract(epoch from override.default_job_eta),
                        (route_facts.config #>> '{detection,default_job_eta_seconds}')::numeric
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
            left join scooters_ops.config_overrides(route_facts.config) as override
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
from given;
end; -- noqa: enable=all

comment on function scooters_ops.route_facts(jsonb, jsonb, timestamptz) is
'What explain_route() says about a config with its defaults.';

revoke execute on function scooters_ops.route_facts(jsonb, jsonb, timestamptz)
from public;
