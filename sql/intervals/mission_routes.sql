-- Where is a mission planned to go, and how long is the way?
create or replace view scooters_ops.mission_routes as
select
    planned.mission_id,
    planned.point_id,
    planned.position,
    planned.eta,
    -- Not a window: where nobody asks for it, it costs nothing.
    (
        select
            make_interval(
                secs => least(
                    sum(date_part('epoch', until_here.eta)),
                    scooters_ops.longest_seconds()
                )
            )
        from scooters_ops.mission_points as until_here
        where
            until_here.mission_id = planned.mission_id
            and until_here.position <= planned.position
    ) as route_eta
from scooters_ops.mission_points as planned;

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
