-- What should a notification remember of its mission and point?
-- A set of one, so that in a query over many the planner sees through it.
create or replace function scooters_ops.mission_facts(mission_id text, point_id text)
returns setof jsonb
language sql stable
begin atomic -- noqa: disable=all
select jsonb_build_object(
    'performer_id', mission.performer_id,
    'attributes', scooters_ops.shallow(mission.attributes),
    'point_position', (
        select point.position
        from scooters_ops.mission_points as point
        where
            point.mission_id = mission_facts.mission_id
            and point.point_id = mission_facts.point_id
    ),
    'points_total', (
        select count(*)
        from scooters_ops.mission_points as point
        where point.mission_id = mission_facts.mission_id
    )
)
from scooters_ops.missions as mission
where mission.mission_id = mission_facts.mission_id;
end; -- noqa: enable=all

comment on function scooters_ops.mission_facts(text, text) is
'The facts of a mission that every notification keeps: performer_id, attributes, point_position (from 1; null: not planned), points_total.';

revoke execute on function scooters_ops.mission_facts(text, text) from public;
