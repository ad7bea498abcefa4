-- Who is furthest over the limit, or closest to it, and who was told of what?
--
-- It evaluates no more than twice max_missions, however many are active. Which ones,
-- follows from what a pass leaves (detect_timeouts_of): whoever may still become
-- overdue has a wake-up at the deadline.
--
-- "silent" are the active missions without one: those that are overdue and noticed as
-- such, those without a limit, those not yet started, and those of which no pass has
-- seen the first event yet. Of them, whoever has been silent longest comes first, which
-- is nearly, not exactly, who is furthest over: limits differ. Of the others those come
-- first whose deadline does, past ones that no pass has seen included.
--
-- So it is exact while no more than max_missions are silent, as of the last pass: who
-- has moved on since then is shown as he is now, but is looked at for what that pass
-- saw. When more are silent, may_be_late says how many were not looked at: at most so
-- many more are overdue. With a filter by type the last event decides of which type a
-- mission is before it is evaluated; a repeated event may thus hide it. What is overdue
-- of a type that was disabled as a pass saw it has its wake-up later: it may be hidden.
--
-- To count and to find the silent ones it reads an index entry for each active mission
-- and each wake-up, and with a filter by city or performer the mission's row: the only
-- part that grows with the fleet. A filter that hardly any mission passes makes it look
-- through all others for more; by type, at their last events. Planned each time:
-- filters that are not asked vanish. As for the settings, see detect_timeouts_of.
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
    -- With a filter: among how many of the latest notifications it looks.
    searched_notifications constant integer := 2000;
    active_count bigint;
    silent_count bigint;
    looked_at_ids text[];
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
    into active_count, silent_count, looked_at_ids;

    with matching as (
        select
            looked_at.mission_id,
            picture.is_overdue,
            picture.intervals,
            row_number() over (order by picture.deadline, looked_at.mission_id) as place
        from (
            -- Who moves on as we look may be in both lists.
            select distinct unnest(looked_at_ids) as mission_id
        ) as looked_at
        -- One by one: asked of a list, each table is asked for the whole list for each
        -- mission, and it would cost the square of its length.
        cross join lateral scooters_ops.board_intervals(
            looked_at.mission_id, as_of - interval '24 hours', as_of
        ) as picture
        where
            picture.type is not null
            and (of_type is null or picture.type = of_type)
            and (not only_overdue or picture.is_overdue)
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
'What the board shows (JSON object): the active missions furthest over their limit or closest to it, at most max_missions of them, each with its intervals of 24 hours; the latest notifications with the state of each recipient; whether detection and delivery work. Of a type (of the open interval), a city, a performer (performer_id, or part of performer_name), only the overdue ones; null: of all. active: how many active missions there are of that city and performer; matching: how many of those looked at match; overdue: how many of these are; may_be_late: how many more might be that were not looked at.';

revoke execute on function scooters_ops.board(
    scooters_ops.monitoring_notification_type, text, text, boolean, integer, timestamptz
) from public;
grant execute on function scooters_ops.board(
    scooters_ops.monitoring_notification_type, text, text, boolean, integer, timestamptz
) to scooters_ops_analyst;
