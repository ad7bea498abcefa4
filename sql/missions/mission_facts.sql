-- What does every notification record about its mission and point?
-- It returns a set of one row, so that the planner can inline it.
create or replace function scooters_ops.mission_facts(mission_id text, point_id text)
returns setof jsonb
language sql stable
begin atomic -- noqa: disable=all
select jsonb_build_object(
    'performer_id', mission.performer_id,
    'attributes', case
        when scooters_ops.exceeds_depth(mission.attributes, 32)
            then scooters_ops.truncate_deep_attributes(mission.attributes)
        else mission.attributes
    end,
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
'The facts that every notification records about its mission (JSON object): performer_id, attributes, point_position (from 1; null: not in the plan), points_total. No row for an unknown mission.';

revoke execute on function scooters_ops.mission_facts(text, text) from public;
