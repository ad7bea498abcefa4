-- What has grown and is of no use any more, notifications included? pg_cron calls this.
-- Missions whose start or end came into history without record_event get their status
-- first.
-- Notifications go in batches that are committed one by one. Before the first of them
-- the news horizon moves up, between two passes, so that each pass either finds them or
-- no longer looks at their events. Where nothing is ever too old to be news
-- (detection.notify_within_seconds is null), they are kept. As for search_path, see
-- detect_in_batches.
create or replace procedure scooters_ops.prune_in_batches()
language plpgsql
as $$
declare
    settled_before pg_catalog.timestamptz;
    batch_size integer;
    looked_up_to bigint;
    is_last boolean;
begin
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    perform scooters_ops.prune();
    commit;

    -- Those whose start or end was inserted into history by other means than
    -- record_event.
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    perform scooters_ops.follow_history(
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
                                and event.type = 'mission_started'
                            )
                        )
                )
        )
    );
    commit;

    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    select
        now() - greatest(notifications_kept, notify_within),
        pruning_batch_size
    into settled_before, batch_size
    from scooters_ops.config_in_force
    where
        notifications_kept is not null
        and notify_within is not null;
    if not found then
        return;
    end if;

    perform scooters_ops.wait_for_detection_lock();
    -- It never moves back, but from a moment that is still to come: that was of a clock
    -- that has been set back since.
    update scooters_ops.news_horizon
    set news_since = case
        when news_since > now() then settled_before
        else greatest(news_since, settled_before)
    end;
    if not found then
        insert into scooters_ops.news_horizon (news_since) values (settled_before);
    end if;
    commit;

    loop
        perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        looked_up_to := scooters_ops.prune_notifications(
            coalesce(looked_up_to, 0), settled_before, batch_size
        );
        is_last := looked_up_to is null;
        commit;
        exit when is_last;
    end loop;
end
$$;

comment on procedure scooters_ops.prune_in_batches() is -- noqa: LT01
'Calls prune(), makes the status of missions follow a start or an end that was inserted into history directly, then deletes completed notifications older than config''s retention.notifications_seconds whose missions can give no news any more, at most retention.batch_size in a transaction. Cannot run within a transaction (SQLSTATE 2D000).';

revoke execute on procedure scooters_ops.prune_in_batches() from public;
