-- What happened on this mission, who was notified, and why?
-- Its intervals are live, not the recorded ones: a page that lists the mission's events
-- must not lag behind them.
create or replace function scooters_ops.board_mission(
    mission_id text,
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
begin
    return (
        select jsonb_build_object(
            'as_of', as_of,
            'mission_id', mission.mission_id,
            'performer_id', mission.performer_id,
            'status', mission.status,
            'attributes', scooters_ops.truncate_deep_attributes(mission.attributes),
            'intervals', (
                select coalesce(
                    json_agg(
                        scooters_ops.board_interval(
                            span.type,
                            span.point_id,
                            point.position,
                            span.started_at,
                            span.finished_at,
                            span.eta,
                            span.factor,
                            span.rule,
                            span.time_limit,
                            span.deadline,
                            as_of
                        )
                        order by span.started_at, span.finished_at nulls last
                    ),
                    '[]'
                )
                from scooters_ops.mission_intervals_of(
                    board_mission.mission_id, as_of
                ) as span
                left join scooters_ops.mission_points as point
                    on
                        span.mission_id = point.mission_id
                        and span.point_id = point.point_id
            ),
            'events', (
                select coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'type', event.type,
                            'point_id', event.point_id,
                            'occurred_at', event.occurred_at
                        )
                        order by event.occurred_at, event.history_id
                    ),
                    '[]'
                )
                from scooters_ops.missions_history as event
                where event.mission_id = board_mission.mission_id
            ),
            'points', (
                select coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'point_id', point.point_id,
                            'position', point.position,
                            'eta', extract(epoch from point.eta),
                            'jobs', (
                                select coalesce(
                                    jsonb_agg(
                                        jsonb_build_object(
                                            'job_id', job.job_id,
                                            'type', job.type,
                                            'status', job.status
                                        )
                                        order by job.job_id
                                    ),
                                    '[]'
                                )
                                from scooters_ops.mission_jobs as job
                                where
                                    job.mission_id = point.mission_id
                                    and job.point_id = point.point_id
                            )
                        )
                        order by point.position
                    ),
                    '[]'
                )
                from scooters_ops.mission_points as point
                where point.mission_id = board_mission.mission_id
            ),
            'notifications', scooters_ops.board_notifications(
                array(
                    select notification.notification_id
                    from scooters_ops.monitoring_notifications as notification
                    where notification.mission_id = board_mission.mission_id
                )
            )
        )
        from scooters_ops.missions as mission
        where mission.mission_id = board_mission.mission_id
    );
end
$$;

comment on function scooters_ops.board_mission(text, timestamptz) is
'Everything about a mission (JSON object): its intervals as of that time (live, not the recorded ones), its events, its plan, and its notifications with the state of each recipient; null: no such mission.';

revoke execute on function scooters_ops.board_mission(text, timestamptz) from public;
grant execute on function scooters_ops.board_mission(text, timestamptz)
to scooters_ops_analyst;
