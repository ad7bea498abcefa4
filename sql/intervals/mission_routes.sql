-- In which order is a mission to visit its points, and how long should each leg take?
create or replace view scooters_ops.mission_routes as
select
    mission_id,
    point_id,
    position,
    eta
from scooters_ops.mission_points;

comment on view scooters_ops.mission_routes is
'The planned points of each mission with their visiting order and the planned travel.';

grant select on scooters_ops.mission_routes to scooters_ops_analyst;
