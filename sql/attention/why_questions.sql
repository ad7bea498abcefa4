-- What says whether this interval or skip was reported, question by question?
-- The questions come in the order in which passes decide, and end with the first answer
-- that is no.
create or replace function scooters_ops.why_questions(
    mission_id text,
    as_of timestamptz
)
returns table (
    subject bigint,
    started_at timestamptz,
    point_id text,
    job_id text,
    type scooters_ops.monitoring_notification_type,
    told_id bigint,
    place integer,
    question text,
    answer text,
    reason text,
    facts jsonb
)
language sql stable
begin atomic -- noqa: disable=all
with in_force as materialized (
    select
        current.*,
        current.config #> '{detection,timeouts}' as timeouts,
        greatest(
            coalesce(why_questions.as_of - current.notify_within, '-infinity'),
            horizon.news_since
        ) as news_since,
        horizon.news_since as horizon,
        last_pass.started_at as last_pass_at,
        current.applied_at not between now() - current.stalled_after
        and now() + current.stalled_after
        and coalesce(
            last_pass.started_at not between now() - current.stalled_after
            and now() + current.stalled_after,
            true
        ) as is_stalled
    from scooters_ops.config_in_force as current
    cross join lateral (
        select max(known.news_since) as news_since
        from scooters_ops.news_horizon as known
        where known.news_since <= now()
    ) as horizon
    left join lateral (
        select passed.started_at
        from scooters_ops.detection_passes as passed
        order by passed.pass_id desc
        limit 1
    ) as last_pass on true
),

woken as materialized (
    select
        min(wakeup.woken_at) as woken_at,
        count(*) > 0 as is_due
    from scooters_ops.mission_wakeups as wakeup
    where
        wakeup.mission_id = why_questions.mission_id
        and wakeup.due_at <= why_questions.as_of
),

asked as materialized (
    select
        span.*,
        stored.config,
        (span.notification).notification_id as notification_id,
        (span.notification).created_at as created_at,
        (span.notification).details as details,
        (span.notification).idempotency_token as token,
        (span.notification).known_at as known_at,
        (span.notification).noticed_after as noticed_after,
        (span.notification).late_because as late_because,
        span.type::text <> 'job_skipped' as is_timeout,
        span.is_overdue and not span.was_reported as is_missing,
        span.is_first
        and (span.notification).notification_id is not null as has_facts,
        limits.minimum_seconds,
        span.limit_seconds - span.elapsed_seconds as left_seconds,
        coalesce(
            span.limit_seconds
            > span.eta_seconds * span.factor * 1.000000001 + 0.000001,
            false
        ) as is_minimum
    from scooters_ops.why_subjects(
        why_questions.mission_id, why_questions.as_of
    ) as span
    left join scooters_ops.configs as stored
        on span.config_id = stored.config_id
    left join lateral (
        select override.value
        from jsonb_array_elements(stored.config #> '{detection,overrides}')
            as override (value)
        where
            span.rule is not null
            and override.value ->> 'name' = span.rule
        limit 1
    ) as named on true
    cross join lateral (
        select coalesce(
            scooters_ops.why_number((span.notification).details, 'minimum_seconds'),
            (
                named.value #>> array['timeouts', span.type::text, 'minimum_seconds']
            )::numeric,
            (
                stored.config #>> array[
                    'detection', 'timeouts', span.type::text, 'minimum_seconds'
                ]
            )::numeric
        ) as minimum_seconds
    ) as limits
),

-- Which bound made a judged interval history instead of news? A config that came later
-- than the one of its limit may have set it.
bound as (
    select
        asked.subject,
        later.config_id,
        later.within_seconds
    from asked
    cross join lateral (
        select
            ahead.config_id,
            ahead.within_seconds
        from (
            select
                applied.config_id,
                applied.applied_at <= asked.seen_at as is_before,
                (applied.config #>> '{detection,notify_within_seconds}')::numeric
                    as within_seconds
            from scooters_ops.configs as applied
            where applied.config_id >= asked.config_id
            order by applied.config_id
            limit 20
        ) as ahead
        where
            extract(epoch from asked.seen_at - asked.deadline) > ahead.within_seconds
        order by ahead.is_before desc, ahead.config_id desc
        limit 1
    ) as later
    where
        asked.is_missing
        and asked.is_judged
        and isfinite(asked.deadline)
),

answered as (
    -- How long was it to last?
    select
        asked.subject,
        10 as place,
        'eta' as question,
        eta.answer,
        eta.reason,
        eta.facts
    from asked
    cross join lateral scooters_ops.why_eta(
        why_questions.mission_id,
        asked.type,
        asked.point_id,
        asked.started_at,
        asked.eta_seconds,
        asked.rule,
        asked.config_id,
        asked.config
    ) as eta
    where
        asked.is_timeout
        and (asked.eta_seconds is not null or not asked.was_reported)
    union all
    select
        asked.subject,
        10,
        'eta',
        'unknown',
        'eta_unknown',
        '{}'
    from asked
    where
        asked.is_timeout
        and asked.eta_seconds is null
        and asked.was_reported
    union all
    -- And how long could it last?
    select
        asked.subject,
        20,
        'rule',
        case
            when asked.limit_seconds is null and asked.was_reported then 'unknown'
            when asked.limit_seconds is null then 'no'
            when asked.rule is null then 'default'
            else 'override'
        end,
        case
            when asked.limit_seconds is null and asked.was_reported then 'rule_unknown'
            when asked.limit_seconds is null then 'rule_none'
            when asked.rule is null and asked.is_minimum then 'rule_default_minimum'
            when asked.rule is null then 'rule_default'
            when asked.is_minimum then 'rule_override_minimum'
            else 'rule_override'
        end,
        case
            when asked.limit_seconds is null then '{}'
            else jsonb_build_object(
                'factor', asked.factor,
                'limit_seconds', asked.limit_seconds,
                'config_id', asked.config_id
            )
            || case
                when asked.rule is null then '{}'
                else jsonb_build_object('rule', asked.rule)
            end
            || case
                when asked.is_minimum
                    then jsonb_build_object('minimum_seconds', asked.minimum_seconds)
                else '{}'
            end
        end
    from asked
    where
        asked.is_timeout
        and (asked.eta_seconds is not null or asked.was_reported)
    union all
    select
        asked.subject,
        30,
        'over_limit',
        case
            when asked.has_facts and asked.left_seconds is not null then 'yes'
            when asked.has_facts then 'unknown'
            when asked.is_overdue then 'yes'
            when asked.was_reported then 'unknown'
            else 'no'
        end,
        case
            when asked.has_facts and asked.left_seconds is not null
                then 'over_when_noticed'
            when asked.has_facts then 'over_unknown'
            when asked.is_overdue then 'over'
            when asked.was_reported then 'over_before'
            when asked.finished_at is null then 'in_time_so_far'
            else 'in_time'
        end,
        case
            when asked.has_facts and asked.left_seconds is null then '{}'
            when asked.was_reported and not asked.has_facts and not asked.is_overdue
                then '{}'
            else jsonb_build_object(
                'elapsed_seconds', asked.elapsed_seconds,
                'limit_seconds', asked.limit_seconds
            )
            || case
                when asked.was_reported or asked.is_overdue
                    then jsonb_build_object('over_seconds', - asked.left_seconds)
                when asked.finished_at is null
                    then jsonb_build_object('left_seconds', asked.left_seconds)
                else '{}'
            end
        end
    from asked
    where
        asked.is_timeout
        and (asked.limit_seconds is not null or asked.was_reported)
    union all
    -- What was judged already was judged by a config that may not be in force any more.
    select
        asked.subject,
        40,
        'enabled',
        case when state.is_on then 'yes' else 'no' end,
        case
            when asked.was_reported then 'was_enabled'
            when state.is_on then 'enabled'
            when not in_force.detection_enabled then 'detection_disabled'
            else 'type_disabled'
        end,
        case
            when asked.was_reported or state.is_on then '{}'
            when in_force.detection_enabled
                then jsonb_build_object(
                    'type', asked.type, 'config_id', in_force.config_id
                )
            else jsonb_build_object('config_id', in_force.config_id)
        end
    from asked
    cross join in_force
    cross join lateral (
        select
            asked.was_reported
            or (
                in_force.detection_enabled
                and coalesce(
                    (
                        in_force.timeouts #>> array[asked.type::text, 'enabled']
                    )::boolean,
                    false
                )
            ) as is_on
    ) as state
    where
        asked.is_timeout
        and (asked.was_reported or (asked.is_missing and not asked.is_judged))
    union all
    select
        asked.subject,
        50,
        'news',
        case
            when asked.was_reported and asked.noticed_after is null then 'unknown'
            when
                asked.was_reported
                or (not asked.is_judged and asked.deadline >= in_force.news_since)
                then 'yes'
            else 'no'
        end,
        case
            when asked.was_reported and asked.noticed_after is null then 'news_unknown'
            when asked.was_reported then 'news'
            when not asked.is_judged and asked.deadline >= in_force.news_since
                then 'news_still'
            when asked.is_judged and asked.seen_at is null then 'history_unknown'
            when asked.is_judged and bound.subject is not null then 'history_judged'
            when asked.is_judged and asked.deadline < in_force.horizon
                then 'history_pruned'
            when asked.is_judged then 'history_judged_otherwise'
            when asked.deadline < in_force.horizon then 'history_pruned'
            else 'history'
        end,
        case
            when asked.was_reported and asked.noticed_after is null then '{}'
            when asked.was_reported
                then jsonb_build_object(
                    'after_seconds', extract(epoch from asked.noticed_after)
                )
            when not asked.is_judged and asked.deadline >= in_force.news_since
                then jsonb_build_object('deadline_at', asked.deadline)
            when asked.is_judged and asked.seen_at is null
                then jsonb_build_object('deadline_at', asked.deadline)
            when asked.is_judged and bound.subject is not null
                then jsonb_build_object(
                    'deadline_at', asked.deadline,
                    'seen_at', asked.seen_at,
                    'within_seconds', bound.within_seconds,
                    'config_id', bound.config_id
                )
            when asked.deadline < in_force.horizon
                then jsonb_build_object(
                    'deadline_at', asked.deadline, 'horizon_at', in_force.horizon
                )
            when asked.is_judged
                then jsonb_build_object(
                    'deadline_at', asked.deadline, 'seen_at', asked.seen_at
                )
            else jsonb_build_object(
                'deadline_at', asked.deadline,
                'within_seconds', extract(epoch from in_force.notify_within)
            )
        end
    from asked
    cross join in_force
    left join bound on asked.subject = bound.subject
    where
        asked.is_timeout
        and (asked.has_facts or asked.is_missing)
    union all
    -- Which pass saw it, and when?
    select
        asked.subject,
        60,
        'noticed',
        case
            when asked.is_missing then 'no'
            when asked.notification_id is null or asked.noticed_after is null
                then 'unknown'
            when late.is_late then 'late'
            else 'in_time'
        end,
        case
            when asked.notification_id is null and asked.was_reported
                then 'noticed_pruned'
            when asked.was_reported and asked.noticed_after is null
                then 'noticed_unknown'
            when asked.was_reported and late.is_late
                then 'noticed_' || coalesce(asked.late_because, 'late')
            when asked.was_reported then 'noticed'
            when
                not asked.is_recorded
                and asked.finished_at < scooters_ops.recorded_since()
                then 'unseen_pruned'
            when in_force.last_pass_at is null then 'unseen_no_pass'
            when in_force.is_stalled then 'unseen_stalled'
            when woken.is_due then 'unseen_woken'
            when asked.is_recorded then 'unseen_next_pass'
            else 'unseen_unwoken'
        end,
        case
            when asked.notification_id is null and asked.was_reported then '{}'
            when asked.was_reported and asked.noticed_after is null
                then jsonb_build_object('noticed_at', asked.details -> 'detected_at')
            when asked.was_reported
                then jsonb_build_object(
                    'noticed_at', asked.details -> 'detected_at',
                    'after_seconds', extract(epoch from asked.noticed_after)
                )
                || case
                    when late.is_late
                        then jsonb_build_object('known_at', asked.known_at)
                    else '{}'
                end
            when
                not asked.is_recorded
                and asked.finished_at < scooters_ops.recorded_since()
                then jsonb_build_object('finished_at', asked.finished_at)
            when in_force.last_pass_at is null then '{}'
            when in_force.is_stalled
                then jsonb_build_object('last_pass_at', in_force.last_pass_at)
            when woken.is_due then jsonb_build_object(
                'woken_at', woken.woken_at, 'last_pass_at', in_force.last_pass_at
            )
            when asked.is_recorded then jsonb_build_object(
                'deadline_at', asked.deadline, 'last_pass_at', in_force.last_pass_at
            )
            else jsonb_build_object('last_pass_at', in_force.last_pass_at)
        end
    from asked
    cross join in_force
    cross join woken
    cross join lateral (
        select
            coalesce(
                asked.late_because is not null
                or extract(epoch from asked.noticed_after)
                > (asked.config #>> '{detection,stalled_after_seconds}')::numeric,
                false
            ) as is_late
    ) as late
    where
        asked.is_timeout
        and (asked.is_first or asked.is_missing)
        and (asked.was_reported or (asked.is_missing and not asked.is_judged))
    union all
    select
        asked.subject,
        70,
        'reported',
        case
            when asked.notification_id is null and not asked.was_reported then 'no'
            when asked.notification_id is null then 'pruned'
            when not asked.is_first then 'with_another'
            else 'yes'
        end,
        case
            when asked.notification_id is null and not asked.was_reported
                then 'skip_unreported'
            when asked.notification_id is null then 'reported_pruned'
            when not asked.is_first then 'reported_with_another'
            when asked.is_timeout then 'reported'
            else 'skip_reported'
        end,
        case
            when asked.notification_id is null and not asked.was_reported
                then jsonb_build_object('job_id', asked.job_id)
            when asked.notification_id is null then '{}'
            when not asked.is_first
                then jsonb_build_object(
                    'token', asked.token,
                    'other_at', asked.details -> 'started_at',
                    'point_id', (asked.notification).point_id
                )
            when asked.is_timeout
                then jsonb_build_object(
                    'token', asked.token, 'noticed_at', asked.created_at
                )
            else jsonb_build_object(
                'token', asked.token,
                'job_id', asked.job_id,
                'skipped_at', coalesce(
                    asked.details -> 'skipped_at', to_jsonb(asked.created_at)
                )
            )
        end
    from asked
    where asked.was_reported or not asked.is_timeout
),

-- The first no ends it.
ended as (
    select
        answered.*,
        min(answered.place) filter (where answered.answer = 'no') over (
            partition by answered.subject
        ) as last_place
    from answered
)

select
    asked.subject,
    asked.started_at,
    asked.point_id,
    asked.job_id,
    asked.type,
    case when asked.is_first then asked.notification_id end as told_id,
    ended.place,
    ended.question,
    ended.answer,
    ended.reason,
    ended.facts
from ended
inner join asked on ended.subject = asked.subject
where coalesce(ended.place <= ended.last_place, true);
end; -- noqa: enable=all

comment on function scooters_ops.why_questions(text, timestamptz) is
'Of each interval and skip of a mission as of that time, why it was reported or was not: the rows of why_facts() up to the question whether it was reported. told_id: the notification whose deliveries follow; null: they stand elsewhere, or there are none.';

revoke execute on function scooters_ops.why_questions(text, timestamptz) from public;
