-- Which jobs are planned at each point?
create or replace view scooters_ops.planned_jobs as
select
    mission_id,
    point_id,
    job_id,
    type,
    eta,
    status
from scooters_ops.mission_jobs;

comment on view scooters_ops.planned_jobs is
'The jobs at each point of each mission, skipped and completed ones included.';

grant select on scooters_ops.planned_jobs to scooters_ops_analyst;
