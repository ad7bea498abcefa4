-- What does one pass do? It records, judges and resolves.
-- The order is what makes the rows of recorded_intervals reliable: a mission whose rows
-- may be out of date has a wake-up, and the pass that takes it records it first.
create or replace function scooters_ops.run_pass(
    mission_ids text[],
    as_of timestamptz,
    still_due integer,
    out inserted_count integer,
    out is_complete boolean
)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
    pass_started_at constant timestamptz := clock_timestamp();
    news_since timestamptz;
    max_intervals integer;
    rules jsonb;
    woken_at timestamptz[];
    recorded_count integer := 0;
    judged_count integer := 0;
    resolved_count integer := 0;
    before record;
    own_pass_id bigint;
    elapsed interval;
begin
    -- Notifications of earlier deadlines may have been pruned. A horizon in the future
    -- was written before the clock was set back, and does not count.
    select
        greatest(
            coalesce(as_of - in_force.notify_within, '-infinity'),
            (
                select max(horizon.news_since)
                from scooters_ops.news_horizon as horizon
                where horizon.news_since <= clock_timestamp()
            )
        ),
        in_force.detection_batch_size,
        in_force.config -> 'detection' -> 'timeouts'
    into news_since, max_intervals, rules
    from scooters_ops.config_in_force as in_force
    where in_force.detection_enabled;

    inserted_count := 0;
    is_complete := true;
    if not found then
        return;
    end if;

    if cardinality(mission_ids) > 0 then
        woken_at := scooters_ops.take_wakeups(mission_ids, as_of);
        recorded_count := scooters_ops.record_intervals(
            mission_ids, woken_at, as_of, news_since
        );
    end if;

    if exists (select from scooters_ops.new_durations) then
        perform scooters_ops.fold_durations();
    end if;

    -- Most passes find nothing overdue and nothing to resolve, and finding that out must
    -- cost little.
    if
        exists (
            select
            from jsonb_object_keys(rules) as rule (type)
            cross join lateral (
                select
                from scooters_ops.recorded_intervals as recorded
                where
                    recorded.type
                    = rule.type::scooters_ops.monitoring_notification_type
                    and not recorded.is_judged
                    and recorded.deadline < as_of
                limit 1
            ) as overdue
        )
    then
        select *
        into judged_count, inserted_count
        from scooters_ops.judge_intervals(as_of, news_since, max_intervals);
        is_complete := judged_count < max_intervals;
    end if;

    if exists (select from scooters_ops.pending_resolutions) then
        resolved_count := scooters_ops.resolve_notifications(as_of);
    end if;

    select
        passed.recorded,
        passed.total_elapsed,
        passed.total_inserted,
        passed.total_recorded,
        passed.total_judged,
        passed.total_resolved
    into before
    from scooters_ops.detection_passes as passed
    order by passed.pass_id desc
    limit 1;

    elapsed := clock_timestamp() - pass_started_at;
    insert into scooters_ops.detection_passes (
        as_of,
        started_at,
        elapsed,
        missions,
        inserted,
        still_due,
        recorded,
        judged,
        resolved,
        total_elapsed,
        total_inserted,
        total_recorded,
        total_judged,
        total_resolved
    )
    values (
        as_of,
        pass_started_at,
        elapsed,
        cardinality(mission_ids),
        inserted_count,
        still_due,
        recorded_count,
        judged_count,
        resolved_count,
        coalesce(before.total_elapsed, '0') + elapsed,
        coalesce(before.total_inserted, 0) + inserted_count,
        coalesce(before.total_recorded, 0) + recorded_count,
        coalesce(before.total_judged, 0) + judged_count,
        coalesce(before.total_resolved, 0) + resolved_count
    )
    returning pass_id into own_pass_id;

    -- A pass of an earlier version took wake-ups without recording anything. One may
    -- still be running after an upgrade, which is why the migration wakes nobody. What
    -- earlier passes did is unknown if prune_bookkeeping() left none of them.
    if before.recorded is null and own_pass_id > 1 then
        perform scooters_ops.wake_missions_under_way();
    end if;
end
$$;

comment on function scooters_ops.run_pass(text[], timestamptz, integer) is
'One pass as of a given time: records these missions, judges at most detection.batch_size recorded intervals of each type, resolves. Returns how many notifications it inserted, and whether nothing is left to judge. still_due: how many missions the caller leaves to the next pass. The caller holds the detection lock.';

revoke execute on function
scooters_ops.run_pass(text[], timestamptz, integer) from public;

-- A run of an earlier version's detect_in_batches() that goes on during an upgrade
-- calls this function for each of its batches. retired.sql drops it later.
do $$
begin
    if
        to_regprocedure(
            'scooters_ops.detect_timeouts_of(text[], timestamptz, integer)'
        ) is not null
    then
        create or replace function scooters_ops.detect_timeouts_of(
            mission_ids text[],
            as_of timestamptz,
            still_due integer
        )
        returns integer
        language sql
        set search_path = pg_catalog, pg_temp
        as
        'select inserted_count from scooters_ops.run_pass(mission_ids, as_of, still_due)';
    end if;
end
$$;
