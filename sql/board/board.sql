-- Which couriers are furthest over their limit, or closest to it, and who was notified?
-- It reads the recorded intervals by deadline and evaluates nothing: its counts are
-- exact at any size, as of the last pass. The statements are planned at each call, so
-- that a filter that is null costs nothing; run_pass explains when rows are recorded.
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
    matching_count bigint;
    overdue_count bigint;
    missions jsonb;
    notification_ids bigint[];
begin
    select
        count(*),
        count(*) filter (where recorded.deadline < as_of)
    into matching_count, overdue_count
    from scooters_ops.recorded_intervals as recorded
    where
        recorded.finished_at is null
        and (of_type is null or recorded.type = of_type)
        and (
            (of_city is null and of_performer is null)
            or exists (
                select
                from scooters_ops.missions as mission
                where
                    mission.mission_id = recorded.mission_id
                    and scooters_ops.board_matches(
                        mission.performer_id, mission.attributes, of_city, of_performer
                    )
            )
        );

    select
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'mission_id', shown.mission_id,
                    'performer_id', shown.performer_id,
                    'attributes',
                    scooters_ops.truncate_deep_attributes(shown.attributes),
                    'points_total', (
                        select count(*)
                        from scooters_ops.mission_points as point
                        where point.mission_id = shown.mission_id
                    ),
                    'intervals', scooters_ops.board_intervals(
                        shown.mission_id, as_of - interval '24 hours', as_of
                    )
                )
                order by shown.deadline, shown.mission_id
            ),
            '[]'
        )
    into missions
    from (
        select
            mission.mission_id,
            mission.performer_id,
            mission.attributes,
            recorded.deadline
        from scooters_ops.recorded_intervals as recorded
        inner join scooters_ops.missions as mission
            on recorded.mission_id = mission.mission_id
        where
            recorded.finished_at is null
            and (of_type is null or recorded.type = of_type)
            and (not only_overdue or recorded.deadline < as_of)
            and scooters_ops.board_matches(
                mission.performer_id, mission.attributes, of_city, of_performer
            )
        order by recorded.deadline, recorded.mission_id
        limit max_missions
    ) as shown;

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
        'recorded_at', (
            select status.last_pass_at
            from scooters_ops.detection_status as status
        ),
        'matching', case when only_overdue then overdue_count else matching_count end,
        'active', matching_count,
        'overdue', overdue_count,
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
