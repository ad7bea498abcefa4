-- Do the recorded intervals say what the view says?
-- After a pass they do, for every mission that has no wake-up that is due; a closed one
-- keeps the judgement of the pass that first recorded it as closed. Where they do not,
-- rows were written without firing triggers, or somebody changed our tables.
create or replace function scooters_ops.missions_not_recorded(mission_ids text[])
returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
declare
    horizon constant timestamptz := scooters_ops.recorded_since();
    -- The last pass may have been one as of a later time.
    as_of constant timestamptz := greatest(
        now(),
        (
            select passed.as_of
            from scooters_ops.detection_passes as passed
            order by passed.pass_id desc
            limit 1
        )
    );
begin
    return array(
        select checked.mission_id
        from unnest(mission_ids) as checked (mission_id)
        where
            exists (
                select
                from (
                    select
                        span.*,
                        coalesce(span.from_point_id, '') as started_from
                    from scooters_ops.mission_intervals_of(
                        checked.mission_id, as_of
                    ) as span
                ) as seen
                full join (
                    select
                        recorded.*,
                        recorded.from_point_id as started_from
                    from scooters_ops.recorded_intervals as recorded
                    where recorded.mission_id = checked.mission_id
                ) as known
                    using (type, started_from)
                where
                    seen.mission_id is null
                    or (
                        known.mission_id is null
                        and coalesce(seen.finished_at >= horizon, true)
                    )
                    or (
                        known.mission_id is not null
                        and (
                            (known.point_id, known.started_at)
                            is distinct from (seen.point_id, seen.started_at)
                            or known.finished_at is distinct from seen.finished_at
                            or (
                                (
                                    seen.finished_at is null
                                    or (known.eta is null and seen.eta is not null)
                                )
                                and (
                                    known.eta,
                                    known.factor,
                                    known.rule,
                                    known.time_limit
                                )
                                is distinct from
                                (seen.eta, seen.factor, seen.rule, seen.time_limit)
                            )
                        )
                    )
            )
            and not exists (
                select
                from scooters_ops.mission_wakeups as wakeup
                where
                    wakeup.mission_id = checked.mission_id
                    and wakeup.due_at <= as_of
            )
    );
end
$$;

comment on function scooters_ops.missions_not_recorded(text[]) is
'Those of these missions whose recorded intervals differ from the view although none of their wake-ups is due. A closed interval may have been judged by an earlier config, and one that was pruned is not missed.';

revoke execute on function scooters_ops.missions_not_recorded(text[]) from public;
