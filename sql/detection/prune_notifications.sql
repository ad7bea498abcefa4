-- Which of the next few notifications are no longer needed?
-- A notification keeps its event from being reported twice. It may be deleted when
-- everything was sent, or no route matched it, no step is under way, and its mission
-- cannot produce the event again:
--
-- - Either the mission ended before ended_before. Later events do not count, and of two
--   ends the earlier one counts. Whatever is recorded or configured from now on, an
--   interval of that mission was overdue before that end, so its deadline is before the
--   news horizon, where detection does not look. A skipped job stays skipped.
-- - Or the mission is unknown: it has neither a plan nor a history.
--
-- One whose message tells of others too is needed until all of these are over, because
-- the message then says so.
--
-- Recipients are locked before notifications, as in record_deliveries.
create or replace function scooters_ops.prune_notifications(
    after_id bigint,
    ended_before timestamptz,
    batch_size integer
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set jit = off
as $$
declare
    last_id bigint;
    settled_ids bigint[];
    leader_ids bigint[];
begin
    with looked_at as materialized (
        select
            notification_id,
            mission_id,
            completed
            or exists (
                select
                from scooters_ops.unrouted_notifications as unrouted
                where unrouted.notification_id = notification.notification_id
            ) as is_settled,
            -- A time in the future was written before the clock was set back.
            created_at < ended_before or created_at > now() as is_old
        from scooters_ops.monitoring_notifications as notification
        where notification_id > after_id
        order by notification_id
        limit batch_size
    )

    select
        max(looked_at.notification_id) filter (where looked_at.is_old),
        array_agg(looked_at.notification_id) filter (
            where looked_at.is_old
            and looked_at.is_settled
            and case
                when mission.events > 0 then coalesce(mission.ended_at < ended_before, false)
                else not exists (
                    select
                    from scooters_ops.missions as planned
                    where planned.mission_id = looked_at.mission_id
                )
            end
            and not exists (
                select
                from scooters_ops.notification_recipients as unsent
                where
                    unsent.notification_id = looked_at.notification_id
                    and unsent.state in ('pending', 'waiting', 'sending')
            )
        )
    into last_id, settled_ids
    from looked_at
    cross join lateral (
        select
            count(*) as events,
            min(event.occurred_at) filter (where event.ends_mission) as ended_at
        from scooters_ops.mission_events as event
        where event.mission_id = looked_at.mission_id
    ) as mission;

    select array_agg(locked.recipient_id) filter (
        where locked.digest_id = locked.recipient_id
    )
    into leader_ids
    from (
        select
            recipient_id,
            digest_id
        from scooters_ops.notification_recipients
        where notification_id = any(settled_ids)
        order by recipient_id
        for update
    ) as locked;

    if leader_ids is not null then
        settled_ids := array(
            select settled.notification_id
            from unnest(settled_ids) as settled (notification_id)
            where not exists (
                select
                from scooters_ops.notification_recipients as leader
                inner join scooters_ops.notification_recipients as member
                    on leader.recipient_id = member.digest_id
                inner join scooters_ops.monitoring_notifications as other
                    on member.notification_id = other.notification_id
                where
                    leader.notification_id = settled.notification_id
                    and leader.recipient_id = any(leader_ids)
                    and other.notification_id <> leader.notification_id
                    and other.resolved_at is null
                    and other.type <> 'job_skipped'
            )
        );
    end if;

    delete from scooters_ops.monitoring_notifications as notification
    where
        notification_id = any(settled_ids)
        and (
            completed
            or exists (
                select
                from scooters_ops.unrouted_notifications as unrouted
                where unrouted.notification_id = notification.notification_id
            )
        );

    return last_id;
end
$$;

comment on function scooters_ops.prune_notifications(bigint, timestamptz, integer) is
'Looks at the next batch_size notifications after the given one and deletes those that are completed or unrouted, older than ended_before, and of missions that ended before it or do not exist. Returns the last old one that it looked at, from which to continue; null: there was none. ended_before must not be later than news_horizon.';

revoke execute on function
scooters_ops.prune_notifications(bigint, timestamptz, integer) from public;
