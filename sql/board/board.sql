-- Which couriers are furthest over their limit, or closest to it, and who was notified?
--
-- It reads the recorded intervals and evaluates nothing. Which intervals there are, and
-- which are open, is as of the last pass (recorded_at); how long they have lasted, and
-- which are over their limit, is as of as_of. Its counts are exact at any size.
--
-- Only the counting grows with the fleet: an index entry per open interval and per
-- active mission; with a filter by city or performer also the mission's row. The
-- statements are planned at each call, so that a filter that is null costs nothing.
-- record_intervals explains the settings.
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
    shown_span constant interval := interval '24 hours';
    max_notifications constant integer := 40;
    max_silences constant integer := 20;
    -- A filter searches this many of the latest notifications.
    searched_notifications constant integer := 2000;
    has_mission_filter constant boolean :=
    of_city is not null or of_performer is not null;
    active_count bigint;
    open_count bigint;
    overdue_count bigint;
    chosen_ids text[];
    missions jsonb;
    open_notification_ids bigint[];
    notification_ids bigint[];
    -- Not its other columns, some of which evaluate missions.
    detection constant jsonb := (
        select jsonb_build_object(
            'is_enabled', status.is_enabled,
            'is_stalled', status.is_stalled,
            'last_pass_at', status.last_pass_at
        )
        from scooters_ops.detection_status as status
    );
begin
    select count(*)
    into active_count
    from scooters_ops.missions as mission
    where
        mission.status in ('created', 'active')
        and scooters_ops.board_matches(
            mission.performer_id, mission.attributes, of_city, of_performer
        );

    -- Without a filter by mission the counts and the choice read nothing but indexes.
    if has_mission_filter then
        with matching as materialized (
            select
                recorded.mission_id,
                recorded.deadline
            from scooters_ops.recorded_intervals as recorded
            inner join scooters_ops.missions as mission
                on recorded.mission_id = mission.mission_id
            where
                recorded.finished_at is null
                and (of_type is null or recorded.type = of_type)
                -- So that missions that are over are not even read.
                and mission.status in ('created', 'active')
                and scooters_ops.board_matches(
                    mission.performer_id, mission.attributes, of_city, of_performer
                )
        )

        select
            (select count(*) from matching),
            (
                select count(*)
                from matching
                where matching.deadline < as_of
            ),
            array(
                select matching.mission_id
                from matching
                where not only_overdue or matching.deadline < as_of
                order by matching.deadline, matching.mission_id
                limit max_missions
            )
        into open_count, overdue_count, chosen_ids;
    else
        select count(*)
        into open_count
        from scooters_ops.recorded_intervals as recorded
        where
            recorded.finished_at is null
            and (of_type is null or recorded.type = of_type);

        select count(*)
        into overdue_count
        from scooters_ops.recorded_intervals as recorded
        where
            recorded.finished_at is null
            and (of_type is null or recorded.type = of_type)
            and recorded.deadline < as_of;

        chosen_ids := array(
            select recorded.mission_id
            from scooters_ops.recorded_intervals as recorded
            where
                recorded.finished_at is null
                and (of_type is null or recorded.type = of_type)
                and (not only_overdue or recorded.deadline < as_of)
            order by recorded.deadline, recorded.mission_id
            limit max_missions
        );
    end if;

    -- The bars need little of the intervals that are over (past). Everything is put
    -- together as text and converted once.
    select
        coalesce(
            json_agg(
                json_build_object(
                    'mission_id', mission.mission_id,
                    'performer_id', mission.performer_id,
                    'attributes',
                    -- The call alone would take longer than all the rest of the row.
                    case
                        when scooters_ops.exceeds_depth(mission.attributes, 32)
                            then scooters_ops.truncate_deep_attributes(mission.attributes)
                        else mission.attributes
                    end,
                    'points_total', plan.points_total,
                    'past', coalesce(recorded.past, '[]'),
                    'intervals', recorded.intervals
                )
                order by chosen.place
            )::jsonb,
            '[]'
        ),
        array_agg(recorded.notification_id)
            filter (where recorded.notification_id is not null)
    into missions, open_notification_ids
    from unnest(chosen_ids) with ordinality as chosen (mission_id, place)
    inner join scooters_ops.missions as mission
        on chosen.mission_id = mission.mission_id
    cross join lateral (
        select
            count(*) as points_total,
            array_agg(point.point_id) as point_ids,
            array_agg(point.position) as positions
        from scooters_ops.mission_points as point
        where point.mission_id = chosen.mission_id
    ) as plan
    cross join lateral (
        select
            json_agg(
                json_build_object(
                    'type', span.type,
                    'started_at', span.started_at,
                    'finished_at', span.finished_at,
                    'deadline', span.deadline,
                    'is_overdue', coalesce(span.finished_at > span.deadline, false)
                )
                order by span.started_at, span.finished_at
            ) filter (where span.finished_at is not null) as past,
            json_agg(
                scooters_ops.board_interval(
                    span.type,
                    span.point_id,
                    plan.positions[array_position(plan.point_ids, span.point_id)],
                    span.started_at,
                    span.finished_at,
                    span.eta,
                    span.factor,
                    span.rule,
                    span.time_limit,
                    span.deadline,
                    as_of
                )
            ) filter (where span.finished_at is null) as intervals,
            max(span.notification_id) filter (where span.finished_at is null)
                as notification_id
        from scooters_ops.recorded_intervals as span
        where
            span.mission_id = chosen.mission_id
            and coalesce(span.finished_at, 'infinity') > as_of - shown_span
    ) as recorded;

    notification_ids := array(
        select latest.notification_id
        from (
            select *
            from scooters_ops.monitoring_notifications
            order by notification_id desc
            limit searched_notifications
        ) as latest
        where
            latest.type <> 'test'
            and (of_type is null or latest.type = of_type)
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
        'recorded_at', detection -> 'last_pass_at',
        'active', active_count,
        'matching', case when only_overdue then overdue_count else open_count end,
        'overdue', overdue_count,
        -- An HTTP server of an earlier version needs it until it is restarted.
        'may_be_late', 0,
        'missions', missions,
        'open_notifications',
        scooters_ops.board_open_notifications(open_notification_ids),
        'notifications', scooters_ops.board_notifications(notification_ids),
        'detection', detection,
        'input', (
            select
                jsonb_build_object(
                    'is_silent', input.is_silent,
                    'newest_event_at', input.newest_event_at,
                    'silent_after_seconds', extract(epoch from input.silent_after),
                    'silent_shards', jsonb '[]'
                )
            from scooters_ops.input_status(as_of) as input
        ),
        'delivery', (
            select coalesce(jsonb_agg(status order by channel, state), '[]')
            from scooters_ops.delivery_status as status
        ),
        'holds', (
            select coalesce(jsonb_agg(hold order by channel), '[]')
            from scooters_ops.delivery_holds as hold
            where hold.address is null
        ),
        'silences', (
            select coalesce(jsonb_agg(silence order by ends_at, silence_id), '[]')
            from (
                select
                    silence_id,
                    match,
                    ends_at,
                    comment,
                    created_by,
                    alerts_held
                from scooters_ops.silence_status
                where is_active
                order by ends_at, silence_id
                limit max_silences
            ) as silence
        )
    );
end
$$;

comment on function scooters_ops.board(
    scooters_ops.monitoring_notification_type, text, text, boolean, integer, timestamptz
) is
'What the board shows (JSON object): at most max_missions missions with an open interval, those furthest over their limit or closest to it first, each with its open interval (intervals) and what its bar shows of those of the last 24 hours that are over (past); of those whose open interval was noticed the notification, by mission_id (open_notifications): who was told, who acknowledged it, and what comes next; the latest notifications with the same; whether detection and delivery work, and whether events still come (input); the silences that are active, those that end first first. of_type (type of the open interval), of_city and of_performer (performer_id, or a part of performer_name) filter missions and notifications, only_overdue missions; null: no filter. active: active missions of that city and performer; matching: missions that match all filters; overdue: those of them over their limit; recorded_at: start of the pass that last recorded intervals, null: there was none.';

revoke execute on function scooters_ops.board(
    scooters_ops.monitoring_notification_type, text, text, boolean, integer, timestamptz
) from public;
grant execute on function scooters_ops.board(
    scooters_ops.monitoring_notification_type, text, text, boolean, integer, timestamptz
) to scooters_ops_analyst;
