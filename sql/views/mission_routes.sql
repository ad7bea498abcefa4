-- Where is a mission planned to go, and how long should each point take?
create or replace view scooters_ops.mission_routes as
with dwell_etas as (
    select
        mission_jobs.mission_id,
        mission_jobs.point_id,
        sum(
            coalesce(
                mission_jobs.eta, job_type_etas.eta, config_in_force.default_job_eta
            )
        ) as dwell_eta,
        bool_and(mission_jobs.status = 'skipped') as is_wholly_skipped
    from scooters_ops.mission_jobs
    left join scooters_ops.job_type_etas using (type)
    left join scooters_ops.config_in_force on true
    group by mission_jobs.mission_id, mission_jobs.point_id
)

select
    mission_points.mission_id,
    mission_points.point_id,
    mission_points.position,
    mission_points.eta,
    sum(mission_points.eta) over (
        partition by mission_points.mission_id
        order by mission_points.position
    ) as route_eta,
    dwell_etas.dwell_eta,
    coalesce(dwell_etas.is_wholly_skipped, false) as is_wholly_skipped
from scooters_ops.mission_points
left join dwell_etas using (mission_id, point_id);

comment on view scooters_ops.mission_routes is
'The planned points of each mission with their times, by the config in force.';
comment on column scooters_ops.mission_routes.mission_id is
'The mission.';
comment on column scooters_ops.mission_routes.point_id is
'The planned point.';
comment on column scooters_ops.mission_routes.position is
'Visiting order, from 1.';
comment on column scooters_ops.mission_routes.eta is
'Planned travel to this point from the one before it (interval).';
comment on column scooters_ops.mission_routes.route_eta is
'Planned travel from the start of the route to this point (interval).';
comment on column scooters_ops.mission_routes.dwell_eta is
'Planned time of all jobs at this point (interval; null: no jobs are planned here).';
comment on column scooters_ops.mission_routes.is_wholly_skipped is
'Whether there are jobs here and all of them were skipped.';

grant select on scooters_ops.mission_routes to scooters_ops_analyst;
