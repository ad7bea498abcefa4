-- How long should the jobs at a point take?
create or replace view scooters_ops.mission_stops as
select
    mission_jobs.mission_id,
    mission_jobs.point_id,
    sum(
        coalesce(mission_jobs.eta, job_type_etas.eta, config_in_force.default_job_eta)
    ) as dwell_eta
from scooters_ops.mission_jobs
left join scooters_ops.job_type_etas using (type)
left join scooters_ops.config_in_force on true
group by mission_jobs.mission_id, mission_jobs.point_id;

comment on view scooters_ops.mission_stops is
'The points of each mission that have jobs, with the planned time of these, by the config in force.';
comment on column scooters_ops.mission_stops.mission_id is
'The mission.';
comment on column scooters_ops.mission_stops.point_id is
'The planned point.';
comment on column scooters_ops.mission_stops.dwell_eta is
'Planned time of all jobs at this point (interval).';

grant select on scooters_ops.mission_stops to scooters_ops_analyst;
