-- Which intervals and skips of a mission can be asked about, and what was said of each?
-- Intervals are as recorded, beside those that no pass has recorded; a notification
-- whose interval is gone stands for itself. What was reported keeps the limit by which
-- it was reported: the recorded interval may have another one since.
create or replace function scooters_ops.why_subjects(
    mission_id text,
    as_of timestamptz
)
returns table (
    subject bigint,
    started_at timestamptz,
    point_id text,
    job_id text,
    type scooters_ops.monitoring_notification_type,
    finished_at timestamptz,
    started_from text,
    eta_seconds numeric,
    factor numeric,
    rule text,
    limit_seconds numeric,
    elapsed_seconds numeric,
    deadline timestamptz,
    config_id bigint,
    seen_at timestamptz,
    is_recorded boolean,
    is_judged boolean,
    is_overdue boolean,
    was_reported boolean,
    is_first boolean,
    notification scooters_ops.monitoring_notifications
)
language sql stable
begin atomic -- noqa: disable=all
with notified as materialized (
    select
        known.notification_id,
        known.type,
        known.point_id,
        known.job_id,
        known.details,
        scooters_ops.why_moment(known.details ->> 'started_at') as started_at,
        known as row
    from scooters_ops.monitoring_notifications as known
    where
        known.mission_id = why_subjects.mission_id
        and known.type::text <> 'test'
),

recorded as materialized (
    select
        known.*,
        known.from_point_id as started_from
    from scooters_ops.recorded_intervals as known
    where known.mission_id = why_subjects.mission_id
),

live as materialized (
    select
        span.*,
        coalesce(span.from_point_id, '') as started_from
    from scooters_ops.mission_intervals_of(
        why_subjects.mission_id, why_subjects.as_of
    ) as span
),

-- One that is not recorded may have been reported by an earlier version.
span as (
    select
        known.started_at,
        known.point_id,
        known.type,
        known.finished_at,
        known.started_from,
        known.eta,
        known.factor,
        known.rule,
        known.time_limit,
        known.deadline,
        known.config_id,
        known.seen_at,
        true as is_recorded,
        known.is_judged,
        known.notification_id
    from recorded as known
    union all
    select
        live.started_at,
        live.point_id,
        live.type,
        live.finished_at,
        live.started_from,
        live.eta,
        live.factor,
        live.rule,
        live.time_limit,
        live.deadline,
        (select in_force.config_id from scooters_ops.config_in_force as in_force),
        null,
        false,
        false,
        (
            select min(notified.notification_id)
            from notified
            where
                notified.type = live.type
                and (
                    notified.started_at = live.started_at
                    or (notified.point_id = live.point_id and live.is_overdue)
                )
        )
    from live
    where
        not exists (
            select
            from recorded
            where
                recorded.type = live.type
                and recorded.started_from = live.started_from
        )
),

-- Two intervals to one point have one notification. It tells of the one that it names.
interval as (
    select
        span.*,
        extract(
            epoch from least(
                coalesce(
                    span.finished_at, greatest(why_subjects.as_of, span.started_at)
                ),
                span.started_at
                + make_interval(secs => scooters_ops.longest_seconds())
            ) - span.started_at
        ) as elapsed_seconds,
        notified.row as notification,
        notified.details,
        row_number() over (
            partition by span.notification_id
            order by
                coalesce(span.started_at = notified.started_at, false) desc,
                coalesce(span.point_id = notified.point_id, false) desc,
                span.started_at,
                span.started_from
        ) = 1 as is_first
    from span
    left join notified on span.notification_id = notified.notification_id
),

found as (
    select
        interval.started_at,
        interval.point_id,
        null::text as job_id,
        interval.type,
        interval.finished_at,
        interval.started_from,
        extract(epoch from interval.eta) as eta_seconds,
        interval.factor,
        interval.rule,
        extract(epoch from interval.time_limit) as limit_seconds,
        interval.elapsed_seconds,
        interval.deadline,
        interval.config_id,
        interval.seen_at,
        interval.is_recorded,
        interval.is_judged,
        coalesce(
            coalesce(interval.finished_at, why_subjects.as_of) > interval.deadline,
            false
        ) as is_overdue,
        interval.notification_id is not null as was_reported,
        interval.is_first,
        interval.notification
    from interval
    where interval.details is null or not interval.is_first
    union all
    select
        interval.started_at,
        interval.point_id,
        null,
        interval.type,
        interval.finished_at,
        interval.started_from,
        scooters_ops.why_number(interval.details, 'eta_seconds'),
        scooters_ops.why_number(interval.details, 'factor'),
        interval.details ->> 'rule',
        scooters_ops.why_number(interval.details, 'limit_seconds'),
        scooters_ops.why_number(interval.details, 'elapsed_seconds'),
        interval.deadline,
        (interval.notification).config_id,
        interval.seen_at,
        interval.is_recorded,
        interval.is_judged,
        true,
        true,
        interval.is_first,
        interval.notification
    from interval
    where interval.details is not null and interval.is_first
    union all
    select
        coalesce(notified.started_at, (notified.row).created_at),
        notified.point_id,
        notified.job_id,
        notified.type,
        scooters_ops.why_moment(notified.details ->> 'finished_at'),
        null,
        scooters_ops.why_number(notified.details, 'eta_seconds'),
        scooters_ops.why_number(notified.details, 'factor'),
        notified.details ->> 'rule',
        scooters_ops.why_number(notified.details, 'limit_seconds'),
        scooters_ops.why_number(notified.details, 'elapsed_seconds'),
        null,
        (notified.row).config_id,
        null,
        false,
        true,
        true,
        true,
        true,
        notified.row
    from notified
    where
        notified.notification_id not in (
            select span.notification_id
            from span
            where span.notification_id is not null
        )
    union all
    -- Skipped by whoever wrote its row, or its notification was pruned.
    select
        null,
        job.point_id,
        job.job_id,
        'job_skipped',
        null, null, null, null, null, null, null, null, null, null,
        false, true, false, false, true,
        null
    from scooters_ops.mission_jobs as job
    where
        job.mission_id = why_subjects.mission_id
        and job.status = 'skipped'
        and not exists (
            select
            from notified
            where
                notified.type = 'job_skipped'
                and notified.point_id = job.point_id
                and notified.job_id = job.job_id
        )
)

select
    row_number() over (
        order by
            found.started_at nulls last,
            found.type,
            found.started_from nulls last,
            found.point_id,
            found.job_id
    ) as subject,
    found.*
from found;
end; -- noqa: enable=all

comment on function scooters_ops.why_subjects(text, timestamptz) is
'The intervals and skips of a mission as of that time, each with its limit by which it was reported or else recorded, and its notification; durations in seconds. is_first: of the intervals that share a notification, the one of which it tells.';

revoke execute on function scooters_ops.why_subjects(text, timestamptz) from public;
