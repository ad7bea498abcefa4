-- What has grown and is of no use any more, notifications included? pg_cron calls this.
-- Notifications go in batches that are committed one by one. Before the first of them
-- the news horizon moves up, between two passes, so that each pass either finds them or
-- no longer looks at their events. Where nothing is ever too old to be news
-- (detection.notify_within_seconds is null), they are kept.
create or replace procedure scooters_ops.prune_in_batches()
language plpgsql
as $$
declare
    settled_before timestamptz;
    batch_size integer;
    looked_up_to bigint := 0::bigint;
begin
    perform scooters_ops.prune();
    commit;

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
    update scooters_ops.news_horizon
    set news_since = greatest(news_since, settled_before);
    if not found then
        insert into scooters_ops.news_horizon (news_since) values (settled_before);
    end if;
    commit;

    loop
        looked_up_to := scooters_ops.prune_notifications(
            looked_up_to, settled_before, batch_size
        );
        commit;
        exit when looked_up_to is null;
    end loop;
end
$$;

comment on procedure scooters_ops.prune_in_batches() is -- noqa: LT01
'Calls prune(), then deletes completed notifications older than config''s retention.notifications_seconds whose missions can give no news any more, at most retention.batch_size in a transaction. Cannot run within a transaction (SQLSTATE 2D000).';

revoke execute on procedure scooters_ops.prune_in_batches() from public;
