-- What is newly overdue? One pass of detection.
--
-- Takes the wake-ups that are due, together with every other one of those missions;
-- looks at these missions, and no others, through the view; inserts what is overdue;
-- leaves each mission one wake-up: the moment at which it must be looked at again. All
-- that is due is done, batch by batch.
--
-- The missions are looked at in a later statement than the one that takes their
-- wake-ups: its snapshot sees at least what woke them. A plan is made for each batch,
-- since only for a known list of missions do the filters reach the indexes; jit is off
-- since compiling such a plan takes longer than running it.
create or replace function scooters_ops.detect_timeouts(as_of timestamptz default now())
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    batch_size constant integer := 5000;
    pass_started_at constant timestamptz := clock_timestamp();
    due_mission_ids text[];
    batch_mission_ids text[];
    inserted_count integer;
    total_inserted integer := 0;
begin
    if as_of is null or not isfinite(as_of) then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('as_of must be a moment, not %s', coalesce(as_of::text, 'null'));
    end if;
    if not scooters_ops.try_detection_lock() then
        return 0;
    end if;
    if not coalesce((select detection_enabled from scooters_ops.config_in_force), false) then
        return 0;
    end if;

    select coalesce(array_agg(distinct mission_id), '{}')
    into due_mission_ids
    from scooters_ops.mission_wakeups
    where due_at <= as_of;

    delete from scooters_ops.mission_wakeups
    where mission_id = any(due_mission_ids);

    for n in 1..cardinality(due_mission_ids) by batch_size loop
        batch_mission_ids := due_mission_ids[n:n + batch_size - 1];

        with current_intervals as materialized (
            select
                span.*,
                rule.is_enabled,
                rule.minimum,
                span.deadline + config.notify_within as news_until
            from scooters_ops.mission_intervals_of(batch_mission_ids, as_of) as span
            inner join scooters_ops.timeout_rules as rule using (type)
            cross join scooters_ops.config_in_force as config
            where span.is_open or span.is_overdue
        ),

        news as (
            select *
            from current_intervals
            where is_overdue and as_of <= coalesce(news_until, 'infinity')
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
                scooters_ops.mission_facts(mission_id, point_id) || jsonb_build_object(
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

        -- The first moment at which more is overdue. News of a disabled type keep their
        -- mission awake as long as they are news.
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
            from unnest(batch_mission_ids) as due_mission (mission_id)
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

        total_inserted := total_inserted + inserted_count;
    end loop;

    insert into scooters_ops.detection_passes (
        as_of, started_at, elapsed, missions, inserted
    )
    values (
        as_of,
        pass_started_at,
        clock_timestamp() - pass_started_at,
        cardinality(due_mission_ids),
        total_inserted
    );
    return total_inserted;
end
$$;

comment on function scooters_ops.detect_timeouts(timestamptz) is
'One pass of detection as of a moment (default: now); returns how many notifications it inserted. Idempotent. Returns 0 at once where another pass is running or detection is disabled. SQLSTATE 22023: as_of is null or infinite.';

revoke execute on function scooters_ops.detect_timeouts(timestamptz) from public;
