-- Where does the planned time of an interval come from?
-- Jobs and route are those of now. Where they no longer add up to the eta of the
-- interval, or its config is unknown, the answer says so instead of guessing.
create or replace function scooters_ops.why_eta(
    mission_id text,
    type scooters_ops.monitoring_notification_type,
    point_id text,
    started_at timestamptz,
    eta_seconds numeric,
    rule text,
    config_id bigint,
    config jsonb
)
returns table (answer text, reason text, facts jsonb)
language sql stable
begin atomic -- noqa: disable=all
with settings as (
    select
        coalesce(why_eta.config #> '{detection,job_eta_seconds}', '{}')
        || coalesce(nullif(named.value -> 'job_eta_seconds', 'null'), '{}') as by_type,
        coalesce(
            nullif(named.value -> 'default_job_eta_seconds', 'null'),
            why_eta.config #> '{detection,default_job_eta_seconds}'
        )::double precision as by_default,
        nullif(named.value -> 'job_eta_seconds', 'null') is not null
        or nullif(named.value -> 'default_job_eta_seconds', 'null') is not null
            as is_override
    from (select) as always
    left join lateral (
        select override.value
        from jsonb_array_elements(why_eta.config #> '{detection,overrides}')
            as override (value)
        where override.value ->> 'name' = why_eta.rule
        limit 1
    ) as named on true
),

job as (
    select
        planned.job_id,
        planned.type,
        case
            when planned.eta is not null then 'own'
            when settings.by_type ? planned.type then 'type'
            else 'default'
        end as source,
        coalesce(
            extract(epoch from planned.eta)::double precision,
            (settings.by_type ->> planned.type)::double precision,
            settings.by_default
        ) as seconds
    from scooters_ops.mission_jobs as planned
    cross join settings
    where
        planned.mission_id = why_eta.mission_id
        and planned.point_id = why_eta.point_id
        and why_eta.type = 'timeout_in_point'
),

jobs as (
    select
        coalesce(sum(job.seconds), (select by_default from settings)) as seconds,
        count(*) as job_count,
        count(*) filter (where job.source = 'own') as own_count,
        coalesce(
            jsonb_agg(job.job_id order by job.job_id) filter (where job.source = 'own'),
            '[]'
        ) as own_jobs,
        coalesce(
            jsonb_agg(distinct job.type) filter (where job.source = 'type'), '[]'
        ) as typed_jobs,
        coalesce(
            jsonb_agg(distinct job.type) filter (where job.source = 'default'), '[]'
        ) as default_jobs
    from job
),

target as (
    select
        planned.position,
        planned.eta,
        coalesce(
            (
                select visited.position
                from (
                    -- A repeated event counts for nothing.
                    select
                        event.point_id,
                        min(event.occurred_at) as occurred_at,
                        min(event.history_id) as history_id
                    from scooters_ops.mission_events as event
                    where
                        event.mission_id = why_eta.mission_id
                        and event.opens = 'timeout_between_points'
                        and event.occurred_at <= why_eta.started_at
                        and event.point_id is not null
                    group by event.point_id
                ) as departure
                inner join scooters_ops.mission_points as visited
                    on
                        visited.mission_id = why_eta.mission_id
                        and visited.point_id = departure.point_id
                order by departure.occurred_at desc, departure.history_id desc
                limit 1
            ),
            0
        ) as last_position
    from scooters_ops.mission_points as planned
    where
        planned.mission_id = why_eta.mission_id
        and planned.point_id = why_eta.point_id
        and why_eta.type = 'timeout_between_points'
),

legs as (
    select
        sum(extract(epoch from leg.eta)) as seconds,
        jsonb_agg(leg.point_id order by leg.position) as points
    from target
    inner join scooters_ops.mission_points as leg
        on
            leg.mission_id = why_eta.mission_id
            and leg.position > target.last_position
            and leg.position <= target.position
    where target.position > target.last_position + 1
),

part as (
    select
        coalesce(jobs.seconds, 'nan') as seconds,
        case
            when jobs.job_count = 0 then 'default'
            when jobs.own_count = jobs.job_count then 'own'
            when settings.is_override then 'override'
            else 'config'
        end as answer,
        case
            when jobs.job_count = 0 then 'eta_default'
            when jobs.own_count = jobs.job_count then 'eta_own'
            when settings.is_override then 'eta_override'
            else 'eta_config'
        end as reason,
        jsonb_build_object(
            'eta_seconds', why_eta.eta_seconds,
            'own_jobs', jobs.own_jobs,
            'typed_jobs', jobs.typed_jobs,
            'default_jobs', jobs.default_jobs,
            'rule', why_eta.rule,
            'config_id', why_eta.config_id
        ) as facts,
        jobs.job_count = jobs.own_count and jobs.job_count > 0 as needs_no_config
    from jobs
    cross join settings
    where why_eta.type = 'timeout_in_point'
    union all
    select
        coalesce(legs.seconds, extract(epoch from target.eta))::double precision,
        'route',
        case when legs.points is null then 'eta_leg' else 'eta_legs' end,
        jsonb_build_object(
            'eta_seconds', why_eta.eta_seconds,
            'points', coalesce(legs.points, jsonb_build_array(why_eta.point_id))
        ),
        true
    from target
    cross join legs
)

select
    case
        when why_eta.eta_seconds is null then 'no'
        when added.is_it then part.answer
        else 'changed'
    end,
    case
        when why_eta.eta_seconds is null and why_eta.type = 'timeout_in_point'
            then 'eta_none_config'
        when why_eta.eta_seconds is null then 'eta_none'
        when added.is_it then part.reason
        else 'eta_changed'
    end,
    case
        when why_eta.eta_seconds is null
            then jsonb_build_object('point_id', why_eta.point_id)
        when added.is_it then case part.reason
            when 'eta_own' then
                part.facts - '{typed_jobs,default_jobs,rule,config_id}'::text[]
            when 'eta_default' then
                part.facts - '{own_jobs,typed_jobs,default_jobs,rule}'::text[]
            when 'eta_config' then part.facts - 'rule'
            else part.facts
        end
        else jsonb_build_object('eta_seconds', why_eta.eta_seconds)
    end
from (select) as always
left join part on true
cross join lateral (
    select
        coalesce(
            abs(
                least(part.seconds, scooters_ops.longest_seconds())
                - why_eta.eta_seconds::double precision
            ) < 0.001
            and (part.needs_no_config or why_eta.config_id is not null),
            false
        ) as is_it
) as added;
end; -- noqa: enable=all

comment on function scooters_ops.why_eta(
    text,
    scooters_ops.monitoring_notification_type,
    text,
    timestamptz,
    numeric,
    text,
    bigint,
    jsonb
) is
'Where the planned time of this interval comes from, by this config: the answer to the question eta, with its reason and facts, as in why_facts().';

revoke execute on function scooters_ops.why_eta(
    text,
    scooters_ops.monitoring_notification_type,
    text,
    timestamptz,
    numeric,
    text,
    bigint,
    jsonb
) from public;
