-- What has become overdue in these missions? One pass over them.
--
-- It takes all their wake-ups, evaluates these missions and no others, inserts a
-- notification for what is overdue, leaves each mission one wake-up for the time at
-- which it must be evaluated again, and records itself in detection_passes.
--
-- The missions are evaluated in a later statement than the one that takes their
-- wake-ups, so that its snapshot includes what woke them. The settings make one plan
-- serve lists of any length, with statistics and without: planning costs as much as
-- evaluating forty missions.
create or replace function scooters_ops.detect_timeouts_of(
    mission_ids text[],
    as_of timestamptz,
    still_due integer
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_generic_plan
set enable_nestloop = off
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
declare
    pass_started_at constant timestamptz := clock_timestamp();
    -- Notifications of earlier deadlines may have been pruned. A horizon in the future
    -- was written before the clock was set back, and does not count.
    horizon constant timestamptz := coalesce(
        (
            select max(news_since)
            from scooters_ops.news_horizon
            where news_since <= clock_timestamp()
        ),
        '-infinity'
    );
    inserted_count integer := 0;
begin
    if cardinality(mission_ids) > 0 then
        -- The wake-ups that are due are found by due_at, the others by mission_id. The
        -- first are joined, because "= any" would compare each of them with the whole
        -- list. The condition of the second matches only the index on mission_id.
        delete from scooters_ops.mission_wakeups as wakeup
        using unnest(mission_ids) as due_mission (mission_id)
        where
            wakeup.due_at <= as_of
            and wakeup.mission_id = due_mission.mission_id;

        delete from scooters_ops.mission_wakeups
        where
            due_at <> '-infinity'
            and mission_id = any(mission_ids);

        -- Read once rather than for each interval.
        with rules as materialized (
            select
                rule.type,
                rule.is_enabled,
                rule.minimum,
                config.notify_within
            from scooters_ops.timeout_rules as rule
            cross join scooters_ops.config_in_force as config
        ),

        current_intervals as materialized (
            select
                span.*,
                rule.is_enabled,
                rule.minimum,
                span.deadline + rule.notify_within as news_until
            from scooters_ops.mission_intervals_of(
                mission_ids, as_of, false
            ) as span
            inner join rules as rule using (type)
            where span.is_open or span.is_overdue
        ),

        news as (
            select *
            from current_intervals
            where
                is_overdue
                and as_of <= coalesce(news_until, 'infinity')
                and deadline >= horizon
        ),

        inserted_notifications as (
            insert into scooters_ops.monitoring_notifications (
                idempotency_token, mission_id, point_id, type, details
            )
            select
                scooters_ops.idempotency_token(mission_id, point_id, null, type),
                mission_id,
                point_id,
                type,
                (
                    select mission.facts
                    from scooters_ops.mission_facts(
                        news.mission_id, news.point_id
                    ) as mission (facts)
                )
                || jsonb_build_object(
                    'started_at', started_at,
                    'finished_at', finished_at,
                    'eta_seconds', extract(epoch from eta),
                    'factor', factor,
                    'minimum_seconds', extract(epoch from minimum),
                    'limit_seconds', extract(epoch from time_limit),
                    'elapsed_seconds', extract(epoch from elapsed),
                    'detected_at', as_of
                )
            from news
            where is_enabled
            order by started_at
            on conflict (idempotency_token) do nothing
            returning 1
        ),

        -- When something more can become overdue. What a disabled type would report
        -- keeps its mission awake for as long as it would be reported.
        next_looks as (
            select
                mission_id,
                deadline as due_at
            from current_intervals
            where is_open and not is_overdue
            union all
            select
                mission_id,
                coalesce(news_until, 'infinity') as due_at
            from news
            where not is_enabled
            union all
            select
                due_mission.mission_id,
                next_event.occurred_at as due_at
            from unnest(mission_ids) as due_mission (mission_id)
            cross join lateral (
                select min(event.occurred_at) as occurred_at
                from scooters_ops.missions_history as event
                where
                    event.mission_id = due_mission.mission_id
                    and event.occurred_at > as_of
            ) as next_event
        ),

        left_wakeups as (
            insert into scooters_ops.mission_wakeups (mission_id, due_at)
            select
                mission_id,
                min(due_at)
            from next_looks
            where due_at is not null
            group by mission_id
        )

        select count(*)::integer
        into inserted_count
        from inserted_notifications;
    end if;

    insert into scooters_ops.detection_passes (
        as_of,
        started_at,
        elapsed,
        missions,
        inserted,
        still_due,
        total_elapsed,
        total_inserted
    )
    select
        as_of,
        pass_started_at,
        this_pass.elapsed,
        cardinality(mission_ids),
        inserted_count,
        still_due,
        coalesce(previous.total_elapsed, '0') + this_pass.elapsed,
        coalesce(previous.total_inserted, 0) + inserted_count
    from (select clock_timestamp() - pass_started_at as elapsed) as this_pass
    left join (
        select
            passed.total_elapsed,
            passed.total_inserted
        from scooters_ops.detection_passes as passed
        order by passed.pass_id desc
        limit 1
    ) as previous on true;
    return inserted_count;
end
$$;

comment on function scooters_ops.detect_timeouts_of(text[], timestamptz, integer) is
'One pass over these missions as of a given time; returns how many notifications it inserted. still_due: how many due missions are left to the next pass, for the record. The caller holds the detection lock.';

revoke execute on function
scooters_ops.detect_timeouts_of(text[], timestamptz, integer) from public;
