-- What is no longer needed, and is deleted?
-- pg_cron calls this. Recorded intervals and notifications are deleted in batches, each
-- committed on its own. Before the first batch, the horizon is moved forward between
-- two passes, so that a pass either finds a row or no longer looks at its event. If
-- detection.notify_within_seconds is null, no event ever becomes too old to be
-- reported, and all notifications are kept. For search_path see detect_in_batches.
create or replace procedure scooters_ops.prune_in_batches()
language plpgsql
as $$
declare
    horizon pg_catalog.timestamptz;
    batch_size integer;
    last_started_at pg_catalog.timestamptz;
    last_id bigint;
    is_last boolean;
begin
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    perform scooters_ops.prune_bookkeeping();
    commit;

    -- The missions whose start or end was inserted into the history directly, rather
    -- than by record_event.
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    perform scooters_ops.update_mission_status(
        array(
            select mission.mission_id
            from scooters_ops.missions as mission
            where
                mission.status in ('created', 'active')
                and exists (
                    select
                    from scooters_ops.mission_events as event
                    where
                        event.mission_id = mission.mission_id
                        and (
                            event.ends_mission
                            or (
                                mission.status = 'created'
                                and event.type = any(scooters_ops.mission_start_types())
                            )
                        )
                )
        )
    );
    commit;

    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    select
        now() - greatest(intervals_kept, notify_within),
        pruning_batch_size
    into horizon, batch_size
    from scooters_ops.config_in_force
    where intervals_kept is not null;
    if found then
        perform scooters_ops.wait_for_detection_lock();
        -- It only moves forward, except from a time in the future, which was written
        -- before the clock was set back.
        insert into scooters_ops.news_horizon (news_since)
        select '-infinity'
        where not exists (select from scooters_ops.news_horizon);
        update scooters_ops.news_horizon
        set recorded_since = case
            when recorded_since > now() then horizon
            else greatest(recorded_since, horizon)
        end;
        commit;

        loop
            perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            perform scooters_ops.wait_for_detection_lock();
            last_started_at := scooters_ops.prune_intervals(
                coalesce(last_started_at, '-infinity'), horizon, batch_size
            );
            commit;
            exit when last_started_at is null;
            call scooters_ops.detect_between_batches();
        end loop;
    end if;

    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    select
        now() - greatest(notifications_kept, notify_within),
        pruning_batch_size
    into horizon, batch_size
    from scooters_ops.config_in_force
    where
        notifications_kept is not null
        and notify_within is not null;
    if not found then
        return;
    end if;

    perform scooters_ops.wait_for_detection_lock();
    -- It only moves forward, except from a time in the future, which was written before
    -- the clock was set back.
    update scooters_ops.news_horizon
    set news_since = case
        when news_since > now() then horizon
        else greatest(news_since, horizon)
    end;
    if not found then
        insert into scooters_ops.news_horizon (news_since) values (horizon);
    end if;
    commit;

    loop
        perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        last_id := scooters_ops.prune_notifications(
            coalesce(last_id, 0), horizon, batch_size
        );
        is_last := last_id is null;
        commit;
        exit when is_last;
    end loop;
end
$$;

comment on procedure scooters_ops.prune_in_batches() is -- noqa: LT01
'Calls prune_bookkeeping(), updates the status of missions whose start or end was inserted into the history directly, then deletes recorded intervals that finished longer ago than retention.intervals_seconds, and completed notifications older than retention.notifications_seconds that can never be inserted again, at most retention.batch_size in a transaction. Cannot run within a transaction (SQLSTATE 2D000).';

revoke execute on procedure scooters_ops.prune_in_batches() from public;
