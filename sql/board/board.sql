-- Which couriers are furthest over their limit, or closest to it, and who was notified?
--
-- It evaluates at most 2 * max_missions missions, however many are active. A pass
-- leaves a wake-up at the deadline of each mission that may still become overdue
-- (detect_timeouts_of). The active missions without one are called silent: overdue and
-- already noticed, without a limit, not started, or not seen by a pass since their
-- first event. It evaluates the silent missions whose last event is oldest, and the
-- others whose deadline is nearest; deadlines that passed after the last pass come
-- first.
--
-- With at most max_missions silent, the choice is exact as of the last pass; each
-- chosen mission is shown as of as_of. With more, may_be_late counts the silent
-- missions that were not evaluated, and the choice is approximate, because limits
-- differ. A filter by type decides by the last event before it evaluates: a repeated
-- event may hide its mission, and so may a type that was disabled at the last pass.
--
-- Only this part of its cost grows with the fleet: an index entry per active mission
-- and per wake-up; with a filter by city or performer also the mission's row, with a
-- filter by type also the last event of missions until enough of them match. The
-- statements are planned at each call, so that a filter that is null costs nothing.
-- detect_timeouts_of explains the settings.
create or replace function scooters_ops.board(
    of_type scooters_ops.monitoring_notification_type default null,
    of_city text default null,
    of_performer text default null,
    only_overdue boolean default false,
    max_missions integer default 200,
    as_of timestamptz default now()
)
returns jsonb
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
set jit = off
as $$
declare
    max_notifications constant integer := 40;
    -- A filter searches this many of the latest notifications.
    searched_notifications constant integer := 2000;
    active_count bigint;
    silent_count bigint;
    chosen_ids text[];
    notification_ids bigint[];
    missions jsonb;
    overdue_count bigint;
    matching_count bigint;
begin
    with selected as materialized (
        select mission_id
        from scooters_ops.missions
        where
            status in ('created', 'active')
            and scooters_ops.board_matches(
                performer_id, attributes, of_city, of_performer
            )
    ),

    silent as materialized (
        select
            without_wakeup.mission_id,
            last_event.occurred_at
        from (
            select mission_id
            from selected
            except
            select mission_id
            from scooters_ops.mission_wakeups
            where due_at > '-infinity'
        ) as without_wakeup
        cross join lateral (
            select
                event.type,
                event.occurred_at
            from scooters_ops.mission_events as event
            where
                event.mission_id = without_wakeup.mission_id
                and event.occurred_at <= as_of
            order by event.occurred_at desc, event.history_id desc
            limit 1
        ) as last_event
        where
            of_type is null
            or (of_type = 'timeout_in_point') = (last_event.type = 'point_arrived')
    ),

    near as (
        select wakeup.mission_id
        from scooters_ops.mission_wakeups as wakeup
        inner join scooters_ops.missions as mission
            on wakeup.mission_id = mission.mission_id
        where
            mission.status in ('created', 'active')
            and scooters_ops.board_matches(
                mission.performer_id, mission.attributes, of_city, of_performer
            )
            and wakeup.due_at > '-infinity'
            and wakeup.due_at < 'infinity'
            and (not only_overdue or wakeup.due_at <= as_of)
            and (
                of_type is null
                or (of_type = 'timeout_in_point') = (
                    select event.type = 'point_arrived'
                    from scooters_ops.mission_events as event
                    where
                        event.mission_id = wakeup.mission_id
                        and event.occurred_at <= as_of
                    order by event.occurred_at desc, event.history_id desc
                    limit 1
                )
            )
        order by wakeup.due_at
        limit max_missions
    )

    select
        (select count(*) from selected),
        (select count(*) from silent),
        array(
            select silent.mission_id
            from silent
            order by silent.occurred_at, silent.mission_id
            limit max_missions
        ) || array(select near.mission_id from near)
    into active_count, silent_count, chosen_ids;

    with matching as (
        select
            chosen.mission_id,
            evaluated.is_overdue,
            evaluated.intervals,
            row_number() over (
                order by evaluated.deadline, chosen.mission_id
            ) as place
        from (
            -- A mission may have several wake-ups.
            select distinct unnest(chosen_ids) as mission_id
        ) as chosen
        -- One mission at a time: for a list, each table is searched for the whole list
        -- once per mission, which costs the square of its length.
        cross join lateral scooters_ops.board_intervals(
            chosen.mission_id, as_of - interval '24 hours', as_of
        ) as evaluated
        where
            evaluated.type is not null
            and (of_type is null or evaluated.type = of_type)
            and (not only_overdue or evaluated.is_overdue)
    )

    select
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'mission_id', mission.mission_id,
                    'performer_id', mission.performer_id,
                    'attributes', scooters_ops.truncate_deep_attributes(mission.attributes),
                    'points_total', (
                        select count(*)
                        from scooters_ops.mission_points as point
                        where point.mission_id = mission.mission_id
                    ),
                    'intervals', matching.intervals
                )
                order by matching.place
            ) filter (where matching.place <= max_missions),
            '[]'
        ),
        count(*),
        count(*) filter (where matching.is_overdue)
    into missions, matching_count, overdue_count
    from matching
    inner join scooters_ops.missions as mission
        on matching.mission_id = mission.mission_id;

    notification_ids := array(
        select latest.notification_id
        from (
            select *
            from scooters_ops.monitoring_notifications
            order by notification_id desc
            limit searched_notifications
        ) as latest
        where
            (of_type is null or latest.type = of_type)
            and scooters_ops.board_matches(
                latest.details ->> 'performer_id',
                latest.details -> 'attributes',
                of_city,
                of_performer
            )
        order by latest.notification_id desc
        limit max_notifications
    );

    return jsonb_build_object(
        'as_of', as_of,
        'active', active_count,
        'matching', matching_count,
        'overdue', overdue_count,
        'may_be_late', greatest(silent_count - max_missions, 0),
        'missions', missions,
        'notifications', scooters_ops.board_notifications(notification_ids),
        'detection', (
            select to_jsonb(status)
            from scooters_ops.detection_status as status
        ),
        'delivery', (
            select coalesce(jsonb_agg(status order by channel, state), '[]')
            from scooters_ops.delivery_status as status
        ),
        'holds', (
            select coalesce(jsonb_agg(hold order by channel), '[]')
            from scooters_ops.delivery_holds as hold
            where hold.address is null
        )
    );
end
$$;

comment on function scooters_ops.board(
    scooters_ops.monitoring_notification_type, text, text, boolean, integer, timestamptz
) is
'What the board shows (JSON object): at most max_missions active missions, those furthest over their limit or closest to it first, each with its intervals of the last 24 hours; the latest notifications with the state of each recipient; whether detection and delivery work. of_type (type of the open interval), of_city and of_performer (performer_id, or a part of performer_name) filter missions and notifications, only_overdue missions; null: no filter. active: active missions of that city and performer; matching: evaluated missions that match; overdue: those of them over their limit; may_be_late: missions that were not evaluated and may be overdue as well.';

revoke execute on function scooters_ops.board(
    scooters_ops.monitoring_notification_type, text, text, boolean, integer, timestamptz
) from public;
grant execute on function scooters_ops.board(
    scooters_ops.monitoring_notification_type, text, text, boolean, integer, timestamptz
) to scooters_ops_analyst;
