-- Where was this mission's courier as of a given time, since when, and how long could
-- it last? The one definition of an interval and of a timeout; everything else reads
-- it.
--
-- Each event except the end of a mission opens an interval, and the next event closes
-- it. No duration exceeds longest_seconds(), so nothing overflows.
--
-- The function is plain SQL without settings, so that the planner can inline it. It is
-- about one mission: a view that joins missions to it reaches the indexes of every
-- table by any filter on mission_id, be it "=", "in" or a join. It reads only views, so
-- that an analyst may call it.

-- An earlier version's rows have fewer columns. They are added here and not by a
-- migration, because the functions that return such rows are replaced right after it.
do $$
begin
    if
        not exists (
            select
            from pg_catalog.pg_attribute
            where
                attrelid = 'scooters_ops.mission_interval'::regclass
                and attname = 'rule'
        )
    then
        alter type scooters_ops.mission_interval
        add attribute from_point_id text collate "C",
        add attribute rule text collate "C";
    end if;
end
$$;

create or replace function scooters_ops.mission_intervals_of(
    mission_id text,
    as_of timestamptz
)
returns setof scooters_ops.mission_interval
language sql stable parallel safe
begin atomic -- noqa: disable=all
with rules as materialized (
    -- Read once rather than for each interval. Binary numbers multiply faster.
    select
        type,
        factor,
        factor::double precision as binary_factor,
        minimum
    from scooters_ops.timeout_rules
),

mission as materialized (
    select
        overview.mission_id,
        overview.performer_id,
        overview.status,
        overview.attributes
    from scooters_ops.mission_overview as overview
    where overview.mission_id = mission_intervals_of.mission_id
),

-- The rules of the overrides that hold for the mission, in the order in which they
-- decide: of those that fit an interval, the first that is read counts. To sort them
-- again for each interval would take longer than everything else about them.
mission_overrides as materialized (
    select
        rule.*,
        matching.types,
        matching.point_ids,
        matching.from_time,
        matching.span,
        matching.days,
        matching.time_zone
    from mission
    cross join lateral scooters_ops.mission_matches(
        'override', mission.mission_id, mission.performer_id, mission.attributes
    ) as matching
    cross join lateral (
        select override.*
        from scooters_ops.override_rules as override
        where override.match_id = matching.match_id
        -- One look by key; a merge join would read the overrides before it.
        offset 0
    ) as rule
    where exists (select from scooters_ops.override_rules)
    order by rule.match_id
),

events as (
    -- Apps report events repeatedly: of one type at one point, the earliest counts.
    select distinct on (event.point_id, event.type) event.*
    from scooters_ops.mission_events as event
    where
        event.mission_id = mission_intervals_of.mission_id
        and event.occurred_at <= as_of
    order by event.point_id, event.type, event.occurred_at, event.history_id
),

visits as (
    -- Each event, the plan of its point, the positions visited so far, the next event.
    select
        event.point_id,
        event.opens,
        event.occurred_at,
        stop.dwell_eta,
        array_agg(planned.position) filter (where planned.position is not null)
            over so_far as visited_positions,
        count(*) filter (where event.ends_mission) over so_far as endings,
        lead(event.occurred_at) over so_far as next_occurred_at,
        lead(event.point_id) over so_far as next_point_id,
        lead(planned.position) over so_far as next_position,
        lead(planned.eta) over so_far as next_eta
    from events as event
    left join scooters_ops.mission_routes as planned
        on
            planned.mission_id = mission_intervals_of.mission_id
            and planned.point_id = event.point_id
    left join scooters_ops.mission_stops as stop
        on
            stop.mission_id = mission_intervals_of.mission_id
            and stop.point_id = event.point_id
    window so_far as (
        order by event.occurred_at, event.history_id
        rows unbounded preceding
    )
),

intervals as (
    -- At a point: that point and the planned time of its jobs. Between points: the next
    -- point and the planned travel from the last visited one, or, when going back along
    -- the route, the next point's own eta.
    select
        visit.point_id as from_point_id,
        target.point_id,
        visit.opens as type,
        visit.occurred_at as started_at,
        visit.next_occurred_at as finished_at,
        plan.eta,
        override.name as rule,
        override.factor,
        override.binary_factor,
        override.minimum
    from visits as visit
    -- If no next event names a point: the first unvisited point on the route.
    left join lateral (
        select
            planned.point_id,
            planned.position,
            planned.eta
        from scooters_ops.mission_routes as planned
        where
            visit.opens = 'timeout_between_points'
            and visit.next_point_id is null
            and planned.mission_id = mission_intervals_of.mission_id
            and planned.position <> all (coalesce(visit.visited_positions, '{}'))
            and (
                select skipped.point_id
                from scooters_ops.mission_skipped_points as skipped
                where
                    skipped.mission_id = planned.mission_id
                    and skipped.point_id = planned.point_id
            ) is null
        order by planned.position
        limit 1
    ) as ahead on true
    cross join lateral (
        select
            case
                when visit.opens = 'timeout_in_point' then visit.point_id
                else coalesce(visit.next_point_id, ahead.point_id)
            end as point_id,
            coalesce(visit.next_position, ahead.position) as position,
            coalesce(
                visit.visited_positions[cardinality(visit.visited_positions)], 0
            ) as last_visited_position
    ) as target
    -- The first override that fits decides. Whether there is any is seen once for the
    -- mission; and to look for the least takes less time than to sort.
    left join lateral (
        select candidate.*
        from mission_overrides as candidate
        where
            candidate.type = visit.opens
            and scooters_ops.is_match(
                candidate.types,
                null,
                candidate.point_ids,
                candidate.from_time,
                candidate.span,
                candidate.days,
                candidate.time_zone,
                visit.opens::text,
                null,
                target.point_id,
                visit.occurred_at
            )
        limit 1
    ) as override on true
    cross join lateral (
        select
            case
                when
                    visit.opens = 'timeout_in_point'
                    and override.job_eta_seconds is not null
                    then (
                        select
                            make_interval(
                                secs => least(
                                    coalesce(
                                        sum(
                                            scooters_ops.job_seconds(
                                                job.eta,
                                                job.type,
                                                override.job_eta_seconds,
                                                override.default_job_eta
                                            )
                                        ),
                                        date_part('epoch', override.default_job_eta)
                                    ),
                                    scooters_ops.longest_seconds()
                                )
                            )
                        from scooters_ops.planned_jobs as job
                        where
                            job.mission_id = mission_intervals_of.mission_id
                            and job.point_id = visit.point_id
                    )
                when visit.opens = 'timeout_in_point'
                    then coalesce(
                        visit.dwell_eta,
                        (select in_force.default_job_eta from scooters_ops.config_in_force as in_force)
                    )
                when target.position > target.last_visited_position + 1
                    then (
                        select
                            make_interval(
                                secs => least(
                                    sum(date_part('epoch', planned.eta)),
                                    scooters_ops.longest_seconds()
                                )
                            )
                        from scooters_ops.mission_routes as planned
                        where
                            planned.mission_id = mission_intervals_of.mission_id
                            and planned.position > target.last_visited_position
                            and planned.position <= target.position
                    )
                else coalesce(visit.next_eta, ahead.eta)
            end as eta
        -- Keeps the planner from computing it once for each column that depends on it.
        offset 0
    ) as plan
    -- Events after the end of the mission do not count.
    where visit.endings = 0
)

select
    mission.mission_id,
    mission.performer_id,
    span.point_id,
    span.type,
    span.started_at,
    span.finished_at,
    span.eta,
    coalesce(span.factor, rule.factor) as factor,
    allowed.time_limit,
    scooters_ops.deadline_of(span.started_at, allowed.time_limit) as deadline,
    least(
        coalesce(span.finished_at, as_of),
        span.started_at + make_interval(secs => scooters_ops.longest_seconds())
    ) - span.started_at as elapsed,
    span.finished_at is null as is_open,
    coalesce(
        coalesce(span.finished_at, as_of) > span.started_at + allowed.time_limit, false
    ) as is_overdue,
    span.from_point_id,
    span.rule
from mission
cross join intervals as span
left join lateral (
    select
        rules.factor,
        rules.binary_factor,
        rules.minimum
    from rules
    where rules.type = span.type
    -- Reading two rows takes less time than the hash join of this mission's intervals.
    offset 0
) as rule on true
cross join lateral (
    -- In seconds: a day of an interval can have 23 or 25 hours, a limit must not vary.
    select
        case
            when span.eta is not null and rule.binary_factor is not null
                then greatest(
                    make_interval(
                        secs => least(
                            date_part('epoch', span.eta)
                            * coalesce(span.binary_factor, rule.binary_factor),
                            scooters_ops.longest_seconds()
                        )
                    ),
                    coalesce(span.minimum, rule.minimum)
                )
        end as time_limit
) as allowed
where
    span.point_id is not null
    -- A mission that is over has no open interval, unless it ended after as_of.
    and (
        span.finished_at is not null
        or mission.status not in ('completed', 'cancelled')
        or (
            select true
            from scooters_ops.mission_events as event
            where
                event.mission_id = mission.mission_id
                and event.ends_mission
            limit 1
        )
    );
end; -- noqa: enable=all

comment on function scooters_ops.mission_intervals_of(text, timestamptz) is
'Every interval of this mission as of a given time, from the events up to then; the columns are those of mission_intervals.';

revoke execute on function
scooters_ops.mission_intervals_of(text, timestamptz) from public;
grant execute on function
scooters_ops.mission_intervals_of(text, timestamptz) to scooters_ops_analyst;
