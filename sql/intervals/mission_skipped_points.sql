-- At which points was every job skipped?
create or replace view scooters_ops.mission_skipped_points as
select
    mission_id,
    point_id
from scooters_ops.mission_jobs
group by mission_id, point_id
having bool_and(status = 'skipped');

comment on view scooters_ops.mission_skipped_points is
'The points that have jobs, all of which were skipped.';

grant select on scooters_ops.mission_skipped_points to scooters_ops_analyst;
