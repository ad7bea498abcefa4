-- Who was told of a notification, by which route, and what became of it?
create or replace function scooters_ops.why_told(notification_id bigint)
returns table (
    place integer,
    n bigint,
    question text,
    answer text,
    reason text,
    facts jsonb
)
language sql stable
begin atomic -- noqa: disable=all
with told as materialized (
    select
        known.*,
        scooters_ops.match_facts(known) as match_facts,
        stored.config,
        exists (
            select
            from scooters_ops.unrouted_notifications as unrouted
            where unrouted.notification_id = known.notification_id
        ) as is_unrouted
    from scooters_ops.monitoring_notifications as known
    left join scooters_ops.configs as stored
        on known.planned_config_id = stored.config_id
    where known.notification_id = why_told.notification_id
),

step as materialized (
    select *
    from scooters_ops.why_steps(why_told.notification_id)
),

asked_route as (
    select
        listed.*,
        listed.match -> listed.key as wanted,
        case listed.key
            when 'at' then to_jsonb(listed.planned_at)
            else coalesce(
                listed.match_facts -> listed.key,
                listed.match_facts -> 'attributes' -> listed.key
            )
        end as given
    from (
        select
            told.planned_at,
            told.planned_config_id,
            told.match_facts,
            failure.match_id as n,
            failure.key,
            told.config -> 'routes' -> (failure.match_id - 1)::integer -> 'match'
                as match,
            coalesce(
                (
                    told.config
                    -> 'routes'
                    -> (failure.match_id - 1)::integer
                    -> 'continue'
                )::boolean,
                false
            ) as goes_on,
            min(failure.match_id) filter (
                where
                    failure.key is null
                    and not coalesce(
                        (
                            told.config
                            -> 'routes'
                            -> (failure.match_id - 1)::integer
                            -> 'continue'
                        )::boolean,
                        false
                    )
            ) over () as deciding_n
        from told
        cross join lateral scooters_ops.match_failures(
            told.config, 'route', told.match_facts, told.planned_at
        ) as failure
        where
            told.planned_at is not null
            and told.config is not null
    ) as listed
    where listed.n <= coalesce(listed.deciding_n, listed.n)
)

select
    80 as place,
    asked_route.n,
    'route' as question,
    case
        when asked_route.key is not null then 'passed_over'
        when asked_route.goes_on then 'decided_too'
        else 'decided'
    end as answer,
    case
        when asked_route.key is null then 'route_decided'
        when asked_route.key = 'at' then 'route_at'
        when nullif(asked_route.given, 'null') is null then 'route_not_given'
        else 'route_failed'
    end as reason,
    jsonb_build_object('path', format('routes[%s]', asked_route.n - 1))
    || case
        when asked_route.key is null
            then jsonb_build_object('config_id', asked_route.planned_config_id)
        when asked_route.key = 'at'
            then jsonb_build_object(
                'wanted', asked_route.wanted, 'given_at', asked_route.given
            )
        when nullif(asked_route.given, 'null') is null
            then jsonb_build_object(
                'key', asked_route.key, 'wanted', asked_route.wanted
            )
        else jsonb_build_object(
            'key', asked_route.key,
            'wanted', asked_route.wanted,
            'given', asked_route.given
        )
    end as facts
from asked_route
union all
-- Who is told is decided once, by the first notifier that sees it.
select
    81,
    0,
    'recipients',
    case
        when told.planned_at is null then 'waiting'
        when exists (select from step) then 'yes'
        else 'no'
    end,
    case
        when told.planned_at is null then 'unplanned'
        when exists (select from step) and told.planned_config_id is null
            then 'planned_earlier'
        when exists (select from step) then 'planned'
        when told.is_unrouted then 'unrouted'
        else 'nobody'
    end,
    case
        when told.planned_at is null
            then jsonb_build_object('noticed_at', told.created_at)
        when exists (select from step) and told.planned_config_id is null
            then jsonb_build_object('planned_at', told.planned_at)
        else jsonb_build_object(
            'planned_at', told.planned_at, 'config_id', told.planned_config_id
        )
    end
from told
union all
select distinct
    85,
    silence.silence_id,
    'silenced',
    case when held.is_active then 'held' else 'was_held' end,
    case when held.is_active then 'silence_holds' else 'silence_held' end,
    jsonb_build_object(
        'silence_id', silence.silence_id,
        'by', silence.created_by,
        'until_at', coalesce(silence.ended_at, silence.ends_at),
        'comment', silence.comment
    )
from scooters_ops.notification_recipients as recipient
inner join scooters_ops.silences as silence
    on recipient.silence_id = silence.silence_id
cross join lateral (
    select exists (
        select
        from scooters_ops.active_silences as active
        where active.silence_id = silence.silence_id
    ) as is_active
) as held
where
    recipient.notification_id = why_told.notification_id
    and recipient.step = 'alert'
union all
select
    90,
    step.recipient_id,
    'step_' || step.step,
    step.state,
    step.reason,
    step.facts
from step
union all
select
    91,
    0,
    'acknowledged',
    case when told.acknowledged_at is null then 'nobody' else 'yes' end,
    case
        when told.acknowledged_at is null then 'unacknowledged' else 'acknowledged'
    end,
    case
        when told.acknowledged_at is null then '{}'
        else jsonb_build_object('by', told.acknowledged_by, 'at', told.acknowledged_at)
    end
from told
where told.acknowledged_at is not null or exists (select from step)
union all
select
    92,
    0,
    'resolved',
    coalesce(told.resolution, 'not_yet'),
    'resolved_' || coalesce(told.resolution, 'not_yet'),
    case
        when told.resolved_at is null then '{}'
        when told.resolution = 'withdrawn'
            then jsonb_build_object('resolved_at', told.resolved_at)
        else jsonb_build_object(
            'ended_at', told.ended_at, 'resolved_at', told.resolved_at
        )
    end
from told
where
    told.type::text <> 'job_skipped'
    and (told.resolved_at is not null or exists (select from step));
end; -- noqa: enable=all

comment on function scooters_ops.why_told(bigint) is
'By which route a notification went to whom, and what became of it: the rows of why_facts() that follow the question whether it was reported, in the order of place and n.';

revoke execute on function scooters_ops.why_told(bigint) from public;
