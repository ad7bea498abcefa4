-- What would this config have told of the intervals and skips of some days, to whom,
-- and what was told?
-- It reads recorded rows and writes nothing. Most intervals end far below any limit of
-- the config: of those it reads no more than the row. What is left is looked up one by
-- one, by key, because a hash join would read all missions or all notifications.
create or replace function scooters_ops.backtest_details(
    config jsonb,
    since timestamptz,
    until timestamptz,
    attribute text default null
)
returns table (
    day date,
    type scooters_ops.monitoring_notification_type,
    rule text,
    value text,
    route text,
    would_tell bigint,
    told bigint,
    would_send bigint,
    sent bigint,
    is_lower_bound boolean
)
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set enable_mergejoin = off
set work_mem = '32MB'
set jit = off
as $$
#variable_conflict use_column
declare
    trial jsonb;
    problem text;
    -- The configs by which what is recorded of the window may have been judged.
    known_ids bigint[];
    -- Those that judge as the trial does.
    same_ids bigint[];
    -- As notifications have them.
    since_text constant text := to_jsonb(since) #>> '{}';
    until_text constant text := to_jsonb(until) #>> '{}';
    seen_until timestamptz;
    recorded_since timestamptz;
    first_started_at timestamptz;
    reported_since timestamptz;
    least_in_point double precision;
    least_between_points double precision;
    least_share double precision;
    least_minimum interval;
    zone_names text[];
    notify_within interval;
    day_zone text;
    is_gone boolean := false;
begin
    if since is null or not isfinite(since) then
        problem := 'since: must be a time, not null or infinite';
    elsif until is null or not isfinite(until) then
        problem := 'until: must be a time, not null or infinite';
    elsif until < since then
        problem := 'until: must not be before since';
    else
        trial := scooters_ops.checked_config(config);
        problem := scooters_ops.time_zone_problem(trial);
    end if;
    if problem is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = problem;
    end if;

    notify_within := make_interval(
        secs => (trial #>> '{detection,notify_within_seconds}')::double precision
    );
    day_zone := coalesce(
        (
            select in_force.config #>> '{notifier,time_zone}'
            from scooters_ops.config_in_force as in_force
        ),
        trial #>> '{notifier,time_zone}'
    );
    select
        array_agg(stored.config_id),
        array_agg(stored.config_id) filter (
            where
                scooters_ops.judging_part(stored.config)
                = scooters_ops.judging_part(trial)
        )
    into known_ids, same_ids
    from scooters_ops.configs as stored
    where
        stored.config_id >= coalesce(
            (
                select max(earlier.config_id)
                from scooters_ops.configs as earlier
                where earlier.applied_at <= since
            ),
            0
        );
    known_ids := coalesce(known_ids, '{}');
    same_ids := coalesce(same_ids, '{}');

    seen_until := coalesce(
        (
            select passed.as_of
            from scooters_ops.detection_passes as passed
            order by passed.pass_id desc
            limit 1
        ),
        now()
    );
    recorded_since := scooters_ops.recorded_since();
    first_started_at := coalesce(
        (select min(recorded.started_at) from scooters_ops.recorded_intervals as recorded),
        until
    );
    reported_since := coalesce(
        (
            select max(horizon.news_since)
            from scooters_ops.news_horizon as horizon
            where horizon.news_since <= now()
        ),
        '-infinity'
    );

    -- The least limit that any rule of the trial sets, as a share of the recorded eta.
    -- Null: it reports nothing of the type.
    select
        min(rule.factor) filter (where rule.type = 'timeout_in_point'),
        min(rule.factor) filter (where rule.type = 'timeout_between_points'),
        min(rule.minimum)
    into least_in_point, least_between_points, least_minimum
    from (
        select
            known.type,
            known.factor::double precision as factor,
            known.minimum
        from scooters_ops.config_timeout_rules(trial) as known
        union all
        select
            override.type,
            override.binary_factor,
            override.minimum
        from scooters_ops.config_overrides(trial) as override
    ) as rule
    inner join scooters_ops.config_timeout_rules(trial) as enabled
        on
            rule.type = enabled.type
            and enabled.is_enabled
    where (trial #> '{detection,enabled}')::boolean;

    -- By how much less the etas of jobs may be in the trial than where they were
    -- recorded. A job with an eta of its own keeps it.
    with eta as materialized (
        select
            known.*,
            listed.is_trial
        from (
            select
                trial as config,
                true as is_trial
            union all
            select
                stored.config,
                false
            from scooters_ops.configs as stored
            where stored.config_id = any(known_ids)
        ) as listed
        cross join lateral scooters_ops.job_etas(listed.config) as known
    ),

    job_type as (
        select distinct jsonb_object_keys(eta.job_eta_seconds) as name
        from eta
        union all
        select null
    ),

    bound as (
        select
            min(planned.seconds) filter (where eta.is_trial) as least,
            max(planned.seconds) filter (where not eta.is_trial) as most
        from job_type
        cross join eta
        cross join lateral scooters_ops.job_seconds(
            null, job_type.name, eta.job_eta_seconds, eta.default_job_eta
        ) as planned (seconds)
        group by job_type.name
    )

    select least(1, min(bound.least / nullif(bound.most, 0)))
    into least_share
    from bound;

    if exists (
        select
        from scooters_ops.config_calendars(trial)
        where zone_attribute is not null
    ) then
        zone_names := array(select scooters_ops.attribute_time_zones());
    end if;

    for
        day,
        type,
        rule,
        value,
        route,
        would_tell,
        told,
        would_send,
        sent,
        is_lower_bound
    in
        with recorded as materialized (
            -- A limit is compared with a margin: rounding must not hide anything.
            select
                recorded.type,
                recorded.mission_id,
                recorded.point_id,
                recorded.started_at,
                recorded.finished_at,
                recorded.eta,
                recorded.rule,
                recorded.config_id,
                recorded.known_at,
                recorded.seen_at,
                recorded.notification_id,
                coalesce(recorded.config_id = any(same_ids), false) as is_kept
            from scooters_ops.recorded_intervals as recorded
            where
                recorded.started_at >= since
                and recorded.started_at < until
                and (
                    recorded.notification_id is not null
                    or (
                        coalesce(recorded.finished_at, seen_until) - recorded.started_at
                        > least_minimum
                        and date_part(
                            'epoch',
                            coalesce(recorded.finished_at, seen_until) - recorded.started_at
                        )
                        > date_part('epoch', recorded.eta)
                        * case
                            when recorded.type = 'timeout_between_points'
                                then least_between_points
                            when coalesce(recorded.config_id = any(known_ids), true)
                                then least_in_point * least_share
                            else least_in_point * 0
                        end
                        * 0.999999 - 0.001
                        and coalesce(recorded.config_id <> all(same_ids), true)
                    )
                )
            union all
            -- Intervals that were reported and then taken away by late or corrected events.
            select
                notification.type,
                notification.mission_id,
                notification.point_id,
                coalesce(
                    scooters_ops.why_moment(notification.details ->> 'started_at'),
                    notification.created_at
                ),
                notification.resolved_at,
                make_interval(
                    secs => least(
                        scooters_ops.why_number(notification.details, 'eta_seconds'),
                        scooters_ops.longest_seconds()::numeric
                    )::double precision
                ),
                notification.details ->> 'rule',
                notification.config_id,
                notification.known_at,
                scooters_ops.why_moment(notification.details ->> 'detected_at'),
                notification.notification_id,
                coalesce(notification.config_id = any(same_ids), false)
            from scooters_ops.monitoring_notifications as notification
            where
                notification.resolved_at is not null
                and notification.ended_at is null
                and (notification.details ->> 'started_at') collate "C"
                >= since_text
                and (notification.details ->> 'started_at') collate "C"
                < until_text
                and (
                    select min(remaining.notification_id)
                    from scooters_ops.recorded_intervals as remaining
                    where
                        remaining.mission_id = notification.mission_id
                        and remaining.type = notification.type
                        and remaining.notification_id = notification.notification_id
                ) is null
            union all
            select
                notification.type,
                notification.mission_id,
                notification.point_id,
                notification.created_at,
                null,
                null,
                null,
                null,
                null,
                null,
                notification.notification_id,
                true
            from scooters_ops.monitoring_notifications as notification
            where
                notification.created_at >= since
                and notification.created_at < until
                and notification.type = 'job_skipped'
        ),

        listed as (
            select
                recorded.*,
                row_number() over () as row_n
            from recorded
        ),

        rules as materialized (
            select
                known.*,
                known.factor::double precision as binary_factor,
                known.is_enabled and (trial #> '{detection,enabled}')::boolean
                    as is_reported
            from scooters_ops.config_timeout_rules(trial) as known
        ),

        overrides as materialized (
            select *
            from scooters_ops.config_overrides(trial)
        ),

        etas as materialized (
            select
                stored.config_id,
                known.rule,
                known.job_eta_seconds,
                known.default_job_eta
            from scooters_ops.configs as stored
            cross join lateral scooters_ops.job_etas(stored.config) as known
            where stored.config_id = any(known_ids)
        ),

        trial_etas as materialized (
            select *
            from scooters_ops.job_etas(trial)
        ),

        -- What matches ask of the mission, and what else they say, once for each calendar.
        matches as materialized (
            select
                named.scope,
                named.match_id,
                named.match,
                asked.term_count,
                asked.types,
                asked.job_types,
                asked.point_ids,
                calendar.from_time,
                calendar.span,
                calendar.days,
                calendar.time_zone,
                calendar.zone_attribute,
                asked.term_count = 0 and calendar.zone_attribute is null as is_of_any
            from scooters_ops.config_matches(trial) as named
            cross join lateral scooters_ops.match_rule(named.match) as asked
            left join scooters_ops.config_calendars(trial) as calendar
                on calendar.name = any(asked.calendars)
            where
                asked.calendars is null
                or calendar.name is not null
            order by named.scope, named.match_id
        ),

        terms as materialized (
            select
                matches.scope,
                matches.match_id,
                matches.term_count,
                choice.key,
                choice.value
            from (
                select distinct
                    matches.scope,
                    matches.match_id,
                    matches.term_count,
                    matches.match
                from matches
            ) as matches
            cross join lateral scooters_ops.match_choices(matches.match) as choice
            where choice.key not in ('type', 'job_type', 'point_id', 'at')
        ),

        -- A mission is looked up once for all its intervals, and only if it matters.
        asked_missions as (
            select distinct listed.mission_id
            from listed
            where
                not listed.is_kept
                and exists (select from matches where scope = 'override' and not is_of_any)
        ),

        missions as materialized (
            select
                asked_missions.mission_id,
                known.performer_id,
                known.attributes
            from asked_missions
            left join lateral (
                select
                    mission.performer_id,
                    mission.attributes
                from scooters_ops.missions as mission
                where mission.mission_id = asked_missions.mission_id
                offset 0
            ) as known on true
        ),

        mission_overrides as (
            select
                missions.mission_id,
                terms.match_id
            from missions
            cross join (
                select distinct terms.key
                from terms
                where terms.scope = 'override'
            ) as asked
            inner join terms
                on
                    terms.scope = 'override'
                    and asked.key = terms.key
                    and terms.value = scooters_ops.mission_fact(
                        asked.key,
                        missions.mission_id,
                        missions.performer_id,
                        missions.attributes
                    )
            group by missions.mission_id, terms.match_id, terms.term_count
            having count(*) = terms.term_count
            union all
            select
                missions.mission_id,
                matches.match_id
            from missions
            cross join matches
            where
                matches.scope = 'override'
                and matches.term_count = 0
                and not matches.is_of_any
        ),

        candidates as (
            select
                missions.mission_id,
                matches.*,
                coalesce(zone.name, matches.time_zone) as own_time_zone
            from mission_overrides
            inner join matches
                on
                    matches.scope = 'override'
                    and mission_overrides.match_id = matches.match_id
                    and not matches.is_of_any
            inner join missions on mission_overrides.mission_id = missions.mission_id
            left join lateral (
                select lower((missions.attributes ->> matches.zone_attribute) collate "C")
                    as name
            ) as zone on zone.name = any(zone_names)
        ),

        overridden as (
            select
                holding.row_n,
                min(holding.match_id) as match_id
            from (
                select
                    listed.row_n,
                    candidates.match_id
                from listed
                inner join candidates on listed.mission_id = candidates.mission_id
                where
                    not listed.is_kept
                    and scooters_ops.is_match(
                        candidates.types,
                        null,
                        candidates.point_ids,
                        candidates.from_time,
                        candidates.span,
                        candidates.days,
                        candidates.own_time_zone,
                        listed.type::text,
                        null,
                        listed.point_id,
                        listed.started_at
                    )
                union all
                select
                    listed.row_n,
                    first.match_id
                from listed
                cross join lateral (
                    select matches.match_id
                    from matches
                    where
                        matches.scope = 'override'
                        and matches.is_of_any
                        and scooters_ops.is_match(
                            matches.types,
                            null,
                            matches.point_ids,
                            matches.from_time,
                            matches.span,
                            matches.days,
                            matches.time_zone,
                            listed.type::text,
                            null,
                            listed.point_id,
                            listed.started_at
                        )
                    limit 1
                ) as first
                where
                    not listed.is_kept
                    and exists (select from matches where scope = 'override' and is_of_any)
            ) as holding
            group by holding.row_n
        ),

        ruled as (
            select
                listed.*,
                case when listed.is_kept then listed.rule else override.name end
                    as trial_rule,
                coalesce(override.binary_factor, rules.binary_factor) as trial_factor,
                coalesce(override.minimum, rules.minimum) as trial_minimum,
                coalesce(rules.is_reported, true) as is_reported,
                not listed.is_kept and listed.mission_id in (
                    select missions.mission_id
                    from missions
                    where missions.attributes is null
                ) as is_gone
            from listed
            left join rules on listed.type = rules.type
            left join overridden on listed.row_n = overridden.row_n
            left join overrides as override
                on
                    overridden.match_id = override.match_id
                    and listed.type = override.type
        ),

        -- As recorded, unless the trial has other etas of jobs than those by which the
        -- interval was judged. A point without jobs counts as one of unknown type.
        planned as (
            select
                ruled.*,
                wanted.rule is not null as is_summed,
                case
                    when wanted.rule is not null
                        then (
                            select
                                make_interval(
                                    secs => least(
                                        coalesce(
                                            sum(
                                                scooters_ops.job_seconds(
                                                    job.eta,
                                                    job.type,
                                                    wanted.job_eta_seconds,
                                                    wanted.default_job_eta
                                                )
                                            ),
                                            date_part('epoch', wanted.default_job_eta)
                                        ),
                                        scooters_ops.longest_seconds()
                                    )
                                )
                            from scooters_ops.mission_jobs as job
                            where
                                job.mission_id = ruled.mission_id
                                and job.point_id = ruled.point_id
                            having
                                count(*) > 0
                                or exists (
                                    select
                                    from scooters_ops.missions as mission
                                    where mission.mission_id = ruled.mission_id
                                )
                        )
                end as summed_eta
            from ruled
            left join etas as judged
                on
                    ruled.config_id = judged.config_id
                    and coalesce(ruled.rule, '') = judged.rule
            left join trial_etas as wanted
                on
                    ruled.type = 'timeout_in_point'
                    and not ruled.is_kept
                    and coalesce(ruled.trial_rule, '') = wanted.rule
                    and (wanted.job_eta_seconds, wanted.default_job_eta)
                    is distinct from (judged.job_eta_seconds, judged.default_job_eta)
            -- Computes each of these once.
            offset 0
        ),

        limited as (
            select
                planned.*,
                scooters_ops.deadline_of(
                    planned.started_at,
                    greatest(
                        make_interval(
                            secs => least(
                                date_part(
                                    'epoch', coalesce(planned.summed_eta, planned.eta)
                                ) * planned.trial_factor,
                                scooters_ops.longest_seconds()
                            )
                        ),
                        planned.trial_minimum
                    )
                ) as deadline,
                -- A change of the config is not what the trial would have waited for.
                case
                    when
                        planned.known_at not in (
                            select stored.applied_at
                            from scooters_ops.configs as stored
                        )
                        then least(planned.known_at, planned.seen_at)
                end as events_known_at
            from planned
            offset 0
        ),

        judged as materialized (
            select
                limited.*,
                report.details,
                limited.notification_id is not null as is_told,
                scooters_ops.why_moment(report.details ->> 'started_at') as reported_at,
                verdict.would_tell,
                coalesce(
                    report.planned_at,
                    greatest(limited.deadline, limited.events_known_at),
                    limited.started_at
                ) as routed_at
            from limited
            left join lateral (
                select
                    notification.details,
                    notification.planned_at
                from scooters_ops.monitoring_notifications as notification
                where notification.notification_id = limited.notification_id
                offset 0
            ) as report on true
            cross join lateral (
                select
                    limited.is_reported
                    and case
                        when limited.is_kept then limited.notification_id is not null
                        else
                            -- One that was reported went on then, as far as was known.
                            greatest(
                                coalesce(limited.finished_at, seen_until),
                                case
                                    when report.details ->> 'finished_at' is null
                                        then scooters_ops.why_moment(
                                            report.details ->> 'detected_at'
                                        )
                                end
                            ) > limited.deadline
                            and coalesce(
                                greatest(limited.deadline, limited.events_known_at)
                                - limited.deadline
                                <= notify_within,
                                true
                            )
                    end is true as would_tell
                offset 0
            ) as verdict
            where
                limited.notification_id is not null
                or verdict.would_tell
                or (
                    limited.is_reported
                    and (
                        limited.is_gone
                        or (limited.is_summed and limited.summed_eta is null)
                    )
                )
        ),

        -- The facts when it was reported, or else those of the mission now.
        facts as materialized (
            select
                judged.row_n,
                judged.type,
                judged.mission_id,
                judged.point_id,
                judged.routed_at,
                judged.is_told or judged.would_tell as is_routed,
                judged.details ->> 'job_type' as job_type,
                coalesce(judged.details ->> 'performer_id', mission.performer_id)
                    as performer_id,
                coalesce(judged.details -> 'attributes', mission.attributes) as attributes
            from judged
            left join lateral (
                select
                    known.performer_id,
                    known.attributes
                from scooters_ops.missions as known
                where
                    judged.details is null
                    and known.mission_id = judged.mission_id
                offset 0
            ) as mission on true
        ),

        fact_routes as (
            select
                facts.row_n,
                terms.match_id
            from facts
            cross join (
                select distinct terms.key
                from terms
                where terms.scope = 'route'
            ) as asked
            inner join terms
                on
                    terms.scope = 'route'
                    and asked.key = terms.key
                    and terms.value = scooters_ops.mission_fact(
                        asked.key, facts.mission_id, facts.performer_id, facts.attributes
                    )
            where facts.is_routed
            group by facts.row_n, terms.match_id, terms.term_count
            having count(*) = terms.term_count
            union all
            select
                facts.row_n,
                matches.match_id
            from facts
            cross join (
                select distinct matches.match_id
                from matches
                where
                    matches.scope = 'route'
                    and matches.term_count = 0
            ) as matches
            where facts.is_routed
        ),

        routes as materialized (
            select
                listed.n,
                listed.value -> 'recipients' as recipients,
                coalesce((listed.value -> 'continue')::boolean, false) as goes_on
            from jsonb_array_elements(trial -> 'routes') with ordinality as listed (value, n)
        ),

        matched as materialized (
            select
                facts.row_n,
                array_agg(distinct matches.match_id order by matches.match_id) as route_ns
            from fact_routes
            inner join facts on fact_routes.row_n = facts.row_n
            inner join matches
                on
                    matches.scope = 'route'
                    and fact_routes.match_id = matches.match_id
            left join lateral (
                select lower((facts.attributes ->> matches.zone_attribute) collate "C")
                    as name
            ) as zone on zone.name = any(zone_names)
            where
                scooters_ops.is_match(
                    matches.types,
                    matches.job_types,
                    matches.point_ids,
                    matches.from_time,
                    matches.span,
                    matches.days,
                    coalesce(zone.name, matches.time_zone),
                    facts.type::text,
                    facts.job_type,
                    facts.point_id,
                    facts.routed_at
                )
            group by facts.row_n
        ),

        -- The first route decides, unless it says "continue". A recipient that is named
        -- twice gets one message.
        deciding as materialized (
            select
                matching.route_ns,
                string_agg(format('routes[%s]', routes.n - 1), ', ' order by routes.n)
                    as route,
                (
                    select count(distinct recipient.value)
                    from routes as named
                    cross join lateral jsonb_array_elements(named.recipients) as recipient
                    where named.n = any(array_agg(routes.n))
                ) as recipients
            from (
                select distinct matched.route_ns
                from matched
            ) as matching
            cross join lateral (
                select min(routes.n) as n
                from routes
                where
                    routes.n = any(matching.route_ns)
                    and not routes.goes_on
            ) as last_route
            inner join routes
                on
                    routes.n = any(matching.route_ns)
                    and routes.n <= coalesce(last_route.n, routes.n)
            group by matching.route_ns
        ),

        -- Two intervals to one point have one notification, and so has one that was
        -- reported on its way to another point.
        related as (
            select
                judged.row_n,
                judged.type,
                judged.mission_id,
                judged.point_id,
                judged.started_at,
                judged.trial_rule,
                judged.is_kept,
                judged.is_told,
                judged.would_tell,
                judged.notification_id,
                judged.is_gone
                or (judged.is_told and judged.details is null)
                or (judged.is_summed and judged.summed_eta is null) as is_gone,
                judged.reported_at is not distinct from judged.started_at as is_own,
                case
                    when judged.is_kept then judged.notification_id
                    else
                        min(judged.notification_id) filter (where judged.is_kept) over (
                            partition by judged.mission_id, judged.type, judged.point_id
                        )
                end as reported_id
            from judged
        ),

        counted as (
            select
                related.*,
                related.would_tell
                and row_number() over (
                    partition by
                        related.reported_id,
                        case when related.reported_id is null then related.mission_id end,
                        case when related.reported_id is null then related.type end,
                        case when related.reported_id is null then related.point_id end
                    order by
                        related.would_tell desc,
                        related.is_kept and related.is_own desc,
                        related.started_at,
                        related.row_n
                ) = 1 as is_trial_counted,
                related.is_told
                and row_number() over (
                    partition by related.notification_id
                    order by
                        related.is_told desc,
                        related.is_own desc,
                        related.started_at,
                        related.row_n
                ) = 1 as is_told_counted
            from related
        )

        select
            (counted.started_at at time zone day_zone)::date as day,
            counted.type,
            counted.trial_rule collate "C",
            scooters_ops.mission_fact(
                attribute, counted.mission_id, facts.performer_id, facts.attributes
            ) #>> '{}' collate "C",
            deciding.route collate "C",
            count(*) filter (where counted.is_trial_counted),
            count(*) filter (where counted.is_told_counted),
            coalesce(
                sum(deciding.recipients) filter (where counted.is_trial_counted), 0
            )::bigint,
            coalesce(sum(alert.recipients), 0)::bigint,
            bool_or(
                facts.attributes is null
                or counted.is_gone
                or counted.started_at < case
                    when counted.type = 'job_skipped' then reported_since
                    else recorded_since
                end
            )
        from counted
        inner join facts on counted.row_n = facts.row_n
        left join matched on counted.row_n = matched.row_n
        left join deciding on matched.route_ns = deciding.route_ns
        left join lateral (
            select count(*) as recipients
            from scooters_ops.notification_recipients as recipient
            where
                counted.is_told_counted
                and recipient.notification_id = counted.notification_id
                and recipient.step = 'alert'
            offset 0
        ) as alert on true
        group by 1, 2, 3, 4, 5
        order by 1, 2, 3 nulls first, 4 nulls first, 5 nulls first
    loop
        is_gone := is_gone or is_lower_bound;
        return next;
    end loop;

    if since < recorded_since then
        raise notice 'a lower bound: intervals that finished before % may have been pruned',
            recorded_since;
    elsif since < first_started_at then
        raise notice 'a lower bound: no interval that started before % is recorded',
            first_started_at;
    end if;
    if is_gone then
        raise notice 'a lower bound: is_lower_bound in backtest_details() says of what';
    end if;
end
$$;

comment on function
scooters_ops.backtest_details(jsonb, timestamptz, timestamptz, text) is
'What a config (JSON, see config.schema.json) would have told of the intervals that started, and the jobs that were skipped, from since until until, exclusive, beside what was told: by day (of notifier.time_zone of the config in force), type, rule (the override of the config that decides; null: the default rule), value (of this attribute of the mission; null: none asked for, or it has none) and route (the paths of the routes of the config that decide, separated by commas; null: none). would_tell and told: notifications; would_send and sent: first messages to recipients (alerts) that the routes named. What a config judged that judges as this one does keeps its judgement; other intervals are judged again by their recorded times, of open ones as of the last pass. is_lower_bound: there may be more, because the mission, its jobs, or the notification is deleted, or intervals of that time were pruned. It changes nothing and locks nothing. SQLSTATE 22023: names the path of the first bad key of the config, or what is wrong with since and until.';

revoke execute on function
scooters_ops.backtest_details(jsonb, timestamptz, timestamptz, text) from public;
grant execute on function
scooters_ops.backtest_details(jsonb, timestamptz, timestamptz, text)
to scooters_ops_analyst;
