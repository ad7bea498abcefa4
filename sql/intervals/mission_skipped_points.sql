-- Where is nothing left to do, since all jobs there were skipped?
create or replace view scooters_ops.mission_skipped_points as
select
    mission_id,
    point_id
from scooters_ops.mission_jobs
group by mission_id, point_id
having bool_and(status = 'skipped');

comment on view scooters_ops.mission_skipped_points is
'The points of each mission that are wholly skipped: there are jobs, and all were skipped.';
comment on column scooters_ops.mission_skipped_points.mission_id is
'The mission.';
comment on column scooters_ops.mission_skipped_points.point_id is
'The planned point.';

grant select on scooters_ops.mission_skipped_points to scooters_ops_analyst;
