-- Where were the couriers at some moment, since when, and how long may that last?
-- The one definition of an interval and of a timeout; everything else asks it.
--
-- Each event but the end of a mission opens an interval, and the next event closes it.
-- Only plain SQL without settings, so that the planner sees through the function: a
-- filter on mission_id reaches the indexes of every table below. It reads views only,
-- so that whoever may ask the views may ask it.
create or replace function scooters_ops.mission_intervals_at(as_of timestamptz)
returns setof scooters_ops.mission_interval
language sql stable parallel safe
as $$
with visits as (
    -- Each event up to as_of: what the plan says of its point, what was visited until
    -- then, and what came next.
    select
        event.mission_id,
        event.point_id,
        event.type,
        event.occurred_at,
        event.ends_mission,
        event.mission_ended_at,
        planned.dwell_eta,
        array_agg(planned.position) filter (where planned.position is not null)
            over so_far as visited_positions,
        array_agg(planned.route_eta) filter (where planned.position is not null)
            over so_far as visited_route_etas,
        lead(event.occurred_at) over in_order as next_occurred_at,
        lead(event.point_id) over in_order as next_point_id,
        lead(planned.position) over in_order as next_position,
        lead(planned.eta) over in_order as next_eta,
        lead(planned.route_eta) over in_order as next_route_eta
    from scooters_ops.mission_events as event
    left join scooters_ops.mission_routes as planned using (mission_id, point_id)
    where event.occurred_at <= as_of
    window
        in_order as (
            partition by event.mission_id order by event.occurred_at, event.history_id
        ),
        so_far as (in_order rows unbounded preceding)
),

intervals as (
    -- In a point: that point, and the planned time of its jobs. Between points: the
    -- next point, and the planned travel from the last visited one; going back, its own
    -- eta.
    select
        visit.mission_id,
        case
            when visit.type = 'point_arrived' then visit.point_id
            else coalesce(visit.next_point_id, ahead.point_id)
        end as point_id,
        case
            when visit.type = 'point_arrived' then 'timeout_in_point'
            else 'timeout_between_points'
        end::scooters_ops.monitoring_notification_type as type,
        visit.occurred_at as started_at,
        visit.next_occurred_at as finished_at,
        visit.mission_ended_at,
        case
            when visit.type = 'point_arrived'
                then coalesce(visit.dwell_eta, config_in_force.default_job_eta)
            when target.position > coalesce(last_visited.position, 0)
                then target.route_eta - coalesce(last_visited.route_eta, interval '0')
            else target.eta
        end as eta
    from visits as visit
    left join scooters_ops.config_in_force on true
    -- Where no next event names a point: the first one that nobody has visited yet.
    left join lateral (
        select
            planned.point_id,
            planned.position,
            planned.eta,
            planned.route_eta
        from scooters_ops.mission_routes as planned
        where
            visit.type <> 'point_arrived'
            and not visit.ends_mission
            and visit.next_point_id is null
            and planned.mission_id = visit.mission_id
            and planned.position <> all (coalesce(visit.visited_positions, '{}'))
            and not planned.is_wholly_skipped
        order by planned.position
        limit 1
    ) as ahead on true
    cross join lateral (
        select
            coalesce(visit.next_position, ahead.position) as position,
            coalesce(visit.next_eta, ahead.eta) as eta,
            coalesce(visit.next_route_eta, ahead.route_eta) as route_eta
    ) as target
    cross join lateral (
        select
            visit.visited_positions[cardinality(visit.visited_positions)] as position,
            visit.visited_route_etas[cardinality(visit.visited_positions)] as route_eta
    ) as last_visited
    where not visit.ends_mission
)

select
    span.mission_id,
    mission.performer_id,
    span.point_id,
    span.type,
    span.started_at,
    span.finished_at,
    span.eta,
    rule.factor,
    allowed.time_limit,
    span.started_at + allowed.time_limit as deadline,
    coalesce(span.finished_at, as_of) - span.started_at as elapsed,
    span.finished_at is null as is_open,
    coalesce(
        coalesce(span.finished_at, as_of) > span.started_at + allowed.time_limit, false
    ) as is_overdue
from intervals as span
inner join scooters_ops.mission_overview as mission using (mission_id)
left join scooters_ops.timeout_rules as rule using (type)
cross join lateral (
    -- In seconds: a day of an interval may have 23 or 25 hours, a limit may not.
    select
        case
            when span.eta is not null
                then greatest(
                    make_interval(
                        secs => (extract(epoch from span.eta) * rule.factor)::float8
                    ),
                    rule.minimum
                )
        end as time_limit
) as allowed
where
    span.point_id is not null
    -- A mission that is over has nothing open, unless at that moment its end lay ahead.
    and (
        span.finished_at is not null
        or span.mission_ended_at is not null
        or mission.status not in ('completed', 'cancelled')
    )
$$;

comment on function scooters_ops.mission_intervals_at(timestamptz) is
'Every interval of every mission as of a moment, seeing only events up to it; columns as in mission_intervals.';

revoke execute on function scooters_ops.mission_intervals_at(timestamptz) from public;
grant execute on function scooters_ops.mission_intervals_at(timestamptz)
to scooters_ops_analyst;
