-- Which recorded intervals are over their deadline, and which of them are news?
-- It looks at recorded rows alone, at most max_intervals of each type, those due
-- longest first. Missions with a due wake-up are left out: their rows may be out of
-- date, and the pass that records them judges them.
create or replace function scooters_ops.judge_intervals(
    as_of timestamptz,
    news_since timestamptz,
    max_intervals integer,
    out judged_count integer,
    out inserted_count integer
)
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
begin
    with in_force as materialized (
        select
            current.config_id,
            current.stalled_after
        from scooters_ops.config_in_force as current
    ),

    rules as materialized (
        select
            rule.type,
            rule.is_enabled,
            rule.minimum
        from scooters_ops.timeout_rules as rule
    ),

    -- Of a disabled type only what is no longer news, so that the rest is reported once
    -- the type is enabled.
    due as materialized (
        select
            overdue.*,
            coalesce(override.minimum, rules.minimum) as minimum,
            overdue.deadline >= news_since as is_news,
            as_of - overdue.deadline as noticed_after,
            known.notification_id as known_notification_id
        from rules
        cross join lateral (
            select
                recorded.ctid as row_address,
                recorded.*
            from scooters_ops.recorded_intervals as recorded
            where
                recorded.type = rules.type
                and not recorded.is_judged
                and recorded.deadline
                < case when rules.is_enabled then as_of else news_since end
                and recorded.mission_id not in (
                    select wakeup.mission_id
                    from scooters_ops.mission_wakeups as wakeup
                    where wakeup.due_at <= as_of
                )
            order by recorded.deadline
            limit max_intervals
        ) as overdue
        left join lateral (
            select named.minimum
            from scooters_ops.override_rules as named
            where
                named.name = overdue.rule
                and named.type = overdue.type
        ) as override on true
        -- The same interval under another point, or another interval to the same point.
        left join lateral (
            select min(notification.notification_id) as notification_id
            from scooters_ops.monitoring_notifications as notification
            where
                notification.mission_id = overdue.mission_id
                and notification.type = overdue.type
                and (
                    notification.point_id = overdue.point_id
                    or notification.details ->> 'started_at'
                    = to_jsonb(overdue.started_at) #>> '{}'
                )
        ) as known on true
    ),

    -- The latest configs, which are few. Earlier ones delay nothing.
    applied as materialized (
        select
            latest.config,
            latest.applied_at,
            lead(latest.applied_at) over (order by latest.config_id) as next_applied_at
        from (
            select
                stored.config_id,
                stored.config,
                stored.applied_at
            from scooters_ops.configs as stored
            order by stored.config_id desc
            limit 5
        ) as latest
    ),

    inserted as (
        insert into scooters_ops.monitoring_notifications (
            idempotency_token,
            mission_id,
            point_id,
            type,
            details,
            resolved_at,
            resolution,
            ended_at,
            config_id,
            known_at,
            noticed_after,
            late_because
        )
        select
            scooters_ops.idempotency_token(due.mission_id, due.point_id, null, due.type),
            due.mission_id,
            due.point_id,
            due.type,
            (
                select mission.facts
                from scooters_ops.mission_facts(
                    due.mission_id, due.point_id
                ) as mission (facts)
            )
            || jsonb_build_object(
                'started_at', due.started_at,
                'finished_at', due.finished_at,
                'eta_seconds', extract(epoch from due.eta),
                'factor', due.factor,
                'rule', due.rule,
                'minimum_seconds', extract(epoch from due.minimum),
                'limit_seconds', extract(epoch from due.time_limit),
                'elapsed_seconds',
                extract(epoch from coalesce(due.finished_at, as_of) - due.started_at),
                'detected_at', as_of
            ),
            case when due.finished_at is not null then as_of end,
            case
                when due.finished_at is not null
                    then scooters_ops.resolution_of(due.mission_id, due.finished_at)
            end,
            due.finished_at,
            in_force.config_id,
            due.known_at,
            due.noticed_after,
            case
                when due.noticed_after > in_force.stalled_after
                    then scooters_ops.late_because(
                        due.deadline,
                        due.known_at,
                        greatest(
                            case
                                when
                                    due.known_at in (
                                        select applied.applied_at
                                        from applied
                                    )
                                    then due.known_at
                            end,
                            -- Since when every config has reported it.
                            (
                                select max(replaced.next_applied_at)
                                from applied as replaced
                                cross join lateral (
                                    select replaced.config -> 'detection' as detection
                                ) as kept
                                where
                                    replaced.next_applied_at > due.deadline
                                    and (
                                        kept.detection -> 'enabled' = 'false'
                                        or kept.detection
                                        #> array['timeouts', due.type::text, 'enabled']
                                        = 'false'
                                        or extract(
                                            epoch from replaced.next_applied_at
                                            - due.deadline
                                        )
                                        > (
                                            kept.detection ->> 'notify_within_seconds'
                                        )::numeric
                                    )
                            )
                        ),
                        as_of
                    )
            end
        from due
        cross join in_force
        where
            due.is_news
            and due.known_notification_id is null
        -- Of two intervals to one point, it tells of the one that goes on.
        order by due.finished_at is not null, due.started_at
        on conflict (idempotency_token) do nothing
        returning notification_id, mission_id, point_id, type, noticed_after, late_because
    ),

    timed as (
        insert into scooters_ops.new_durations (stage, type, duration, late_because)
        select
            'noticed',
            inserted.type,
            inserted.noticed_after,
            inserted.late_because
        from inserted
    ),

    judged as (
        update scooters_ops.recorded_intervals as recorded
        set
            is_judged = true,
            seen_at = as_of,
            notification_id = coalesce(
                due.known_notification_id, inserted.notification_id
            )
        from due
        left join inserted using (mission_id, point_id, type)
        where recorded.ctid = due.row_address
        returning recorded.notification_id
    )

    select
        (select count(*)::integer from judged),
        (select count(*)::integer from inserted)
    into judged_count, inserted_count;
end
$$;

comment on function
scooters_ops.judge_intervals(timestamptz, timestamptz, integer) is
'Judges recorded intervals that are over their deadline as of a given time, at most max_intervals of each type; returns how many it judged and how many notifications it inserted. An interval with a deadline before news_since is judged without being reported. The caller holds the detection lock.';

revoke execute on function
scooters_ops.judge_intervals(timestamptz, timestamptz, integer) from public;
