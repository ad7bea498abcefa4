-- What became of these missions' intervals since a pass last saw them?
-- It evaluates the missions through the view, writes what differs into
-- recorded_intervals, and leaves a wake-up for each mission with an event to come.
-- Rows are changed by their address, since a join by key would read the whole table.
-- Each mission is looked at once: to remember look-ups costs more than it saves.
create or replace function scooters_ops.record_intervals(
    mission_ids text[],
    woken_at timestamptz[],
    as_of timestamptz,
    news_since timestamptz
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_memoize = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
declare
    changed_count integer;
begin
    with seen as (
        select
            span.mission_id,
            span.type,
            coalesce(span.from_point_id, '') as started_from,
            span.point_id,
            span.started_at,
            span.finished_at,
            span.eta,
            span.factor,
            span.time_limit,
            span.rule,
            span.is_overdue,
            woken.woken_at
        from unnest(mission_ids, woken_at) as woken (mission_id, woken_at)
        cross join lateral scooters_ops.mission_intervals_of(
            woken.mission_id, as_of
        ) as span
    ),

    known as materialized (
        select
            recorded.*,
            recorded.from_point_id as started_from,
            recorded.ctid as row_address
        from scooters_ops.recorded_intervals as recorded
        where recorded.mission_id = any(mission_ids)
    ),

    -- A closed interval that stays closed and leads to the same point keeps the
    -- judgement of the pass that first recorded it as closed, unless nothing was planned
    -- for it then. Most intervals are as they were, and end here.
    differing as (
        select
            mission_id,
            type,
            started_from,
            known.row_address,
            known.notification_id,
            known.finished_at is null as was_open,
            seen.mission_id is not null as is_there,
            seen.point_id,
            seen.started_at,
            seen.finished_at,
            seen.is_overdue,
            case when is_kept then known.eta else seen.eta end as eta,
            case when is_kept then known.factor else seen.factor end as factor,
            case when is_kept then known.rule else seen.rule end as rule,
            case when is_kept then known.time_limit else seen.time_limit end
                as time_limit,
            case
                when is_kept then known.config_id
                else (select in_force.config_id from scooters_ops.config_in_force as in_force)
            end as config_id,
            -- Whatever had passed its limit before a change of it was known.
            case
                when
                    (known.point_id, known.started_at)
                    = (seen.point_id, seen.started_at)
                    and (
                        known.time_limit is not distinct from seen.time_limit
                        or known.deadline <= changed.at
                    )
                    then known.known_at
                else changed.at
            end as known_at
        from seen
        full join known using (mission_id, type, started_from)
        cross join lateral (
            select
                known.finished_at is not null
                and seen.finished_at is not null
                and known.point_id = seen.point_id
                and (known.eta is not null or seen.eta is null) as is_kept
            offset 0
        ) as judgement
        -- A config that may have changed the limit counts, whatever else woke the mission.
        cross join lateral (
            select
                greatest(
                    seen.woken_at,
                    case
                        when
                            (known.point_id, known.started_at)
                            = (seen.point_id, seen.started_at)
                            and known.config_id <> (
                                select in_force.config_id
                                from scooters_ops.config_in_force as in_force
                            )
                            then (
                                select in_force.applied_at
                                from scooters_ops.config_in_force as in_force
                            )
                    end
                ) as at
        ) as changed
        where
            (
                (known.point_id, known.started_at) = (seen.point_id, seen.started_at)
                and known.finished_at is not distinct from seen.finished_at
                and (
                    is_kept
                    or (
                        known.time_limit is not distinct from seen.time_limit
                        and known.eta is not distinct from seen.eta
                        and known.factor is not distinct from seen.factor
                        and known.rule is not distinct from seen.rule
                        -- Judged as no news, and news by today's config.
                        and (
                            known.finished_at is null
                            and known.is_judged
                            and known.notification_id is null
                            and known.deadline >= news_since
                        ) is not true
                    )
                )
            ) is not true
    ),

    -- Nothing more can become of an interval that was reported, that was closed in time,
    -- that has no deadline, or whose deadline is too old to be news. An interval that
    -- finished before the horizon may have been pruned, and is not recorded again.
    changes as materialized (
        select
            differing.*,
            due.deadline,
            reported.notification_id as reported_id,
            coalesce(
                reported.notification_id is not null
                or differing.finished_at <= due.deadline
                or due.deadline < news_since,
                due.deadline is null
            ) as is_judged
        from differing
        -- A mission that is recorded for the first time may have been reported by an
        -- earlier version, which recorded nothing.
        cross join lateral (
            select
                coalesce(
                    differing.notification_id,
                    case
                        when
                            differing.mission_id not in (
                                select known.mission_id from known
                            )
                            then (
                                select notification.notification_id
                                from scooters_ops.monitoring_notifications as notification
                                where
                                    notification.mission_id = differing.mission_id
                                    and notification.type = differing.type
                                    and notification.resolved_at is null
                                    and (
                                        notification.details ->> 'started_at'
                                        = to_jsonb(differing.started_at) #>> '{}'
                                        or (
                                            notification.point_id = differing.point_id
                                            and differing.is_overdue
                                        )
                                    )
                                order by
                                    notification.point_id <> differing.point_id,
                                    notification.notification_id
                                limit 1
                            )
                    end
                ) as notification_id
        ) as reported
        cross join lateral (
            select
                scooters_ops.deadline_of(
                    differing.started_at, differing.time_limit
                ) as deadline
            offset 0
        ) as due
        where
            differing.row_address is not null
            or differing.finished_at is null
            or differing.finished_at >= (select scooters_ops.recorded_since())
    ),

    inserted as (
        insert into scooters_ops.recorded_intervals (
            mission_id,
            type,
            from_point_id,
            point_id,
            started_at,
            finished_at,
            eta,
            factor,
            rule,
            time_limit,
            deadline,
            is_judged,
            notification_id,
            known_at,
            seen_at,
            config_id
        )
        select
            mission_id,
            type,
            started_from,
            point_id,
            started_at,
            finished_at,
            eta,
            factor,
            rule,
            time_limit,
            deadline,
            is_judged,
            reported_id,
            known_at,
            as_of,
            config_id
        from changes
        where row_address is null
    ),

    updated as (
        update scooters_ops.recorded_intervals as recorded
        set
            point_id = changes.point_id,
            started_at = changes.started_at,
            finished_at = changes.finished_at,
            eta = changes.eta,
            factor = changes.factor,
            rule = changes.rule,
            time_limit = changes.time_limit,
            deadline = changes.deadline,
            is_judged = changes.is_judged,
            known_at = changes.known_at,
            seen_at = as_of,
            config_id = changes.config_id
        from changes
        where
            changes.is_there
            and recorded.ctid = changes.row_address
    ),

    deleted as (
        delete from scooters_ops.recorded_intervals as recorded
        using changes
        where
            not changes.is_there
            and recorded.ctid = changes.row_address
    ),

    resolved as (
        insert into scooters_ops.pending_resolutions (notification_id)
        select changes.reported_id
        from changes
        where
            changes.reported_id is not null
            and (changes.was_open or changes.row_address is null)
            and (changes.finished_at is not null or not changes.is_there)
        on conflict do nothing
    ),

    left_wakeups as (
        insert into scooters_ops.mission_wakeups (mission_id, due_at)
        select
            woken.mission_id,
            next_event.occurred_at
        from unnest(mission_ids) as woken (mission_id)
        cross join lateral (
            select min(event.occurred_at) as occurred_at
            from scooters_ops.missions_history as event
            where
                event.mission_id = woken.mission_id
                and event.occurred_at > as_of
        ) as next_event
        where next_event.occurred_at is not null
    )

    select count(*)::integer
    into changed_count
    from changes;
    return changed_count;
end
$$;

comment on function
scooters_ops.record_intervals(text[], timestamptz[], timestamptz, timestamptz) is
'Evaluates these missions, each of which had waited since woken_at, as of a time and writes what differs into recorded_intervals; returns how many rows changed. An interval with a deadline before news_since will not be reported. The caller holds the detection lock.';

revoke execute on function
scooters_ops.record_intervals(text[], timestamptz[], timestamptz, timestamptz)
from public;
