-- Where is a mission planned to go, and how long is the way?
create or replace view scooters_ops.mission_routes as
select
    mission_id,
    point_id,
    position,
    eta,
    sum(eta) over (partition by mission_id order by position) as route_eta
from scooters_ops.mission_points;

comment on view scooters_ops.mission_routes is
'The planned points of each mission in visiting order, with the planned travel.';
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

grant select on scooters_ops.mission_routes to scooters_ops_analyst;
