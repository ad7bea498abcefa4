-- Whom would this reach, by which route, and why?
create or replace function scooters_ops.explain_route(
    facts jsonb,
    at timestamptz default now(),
    config jsonb default null
)
returns jsonb
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    known_types constant text[] := array_remove(
        enum_range(null::scooters_ops.monitoring_notification_type)::text[], 'test'
    );
    asked jsonb;
    asked_id bigint;
    problem text;
begin
    if coalesce(facts ->> 'type' <> all(known_types), true) then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'facts.type: must be one of ' || array_to_string(known_types, ', ');
    elsif coalesce(jsonb_typeof(facts -> 'attributes'), 'object') <> 'object' then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'facts.attributes: must be object';
    elsif at is null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'at: must be a time, not null';
    end if;

    if config is null then
        select
            in_force.config_id,
            in_force.config
        into asked_id, asked
        from scooters_ops.config_in_force as in_force;
        if asked is null then
            raise exception using
                errcode = 'object_not_in_prerequisite_state',
                message = 'no config is in force: make config';
        end if;
    else
        asked := scooters_ops.checked_config(config);
        problem := scooters_ops.time_zone_problem(asked);
        if problem is not null then
            raise exception using
                errcode = 'invalid_parameter_value',
                message = problem;
        end if;
    end if;
    return scooters_ops.route_facts(asked, facts, at)
    || jsonb_build_object('config_id', asked_id);
end
$$;

comment on function scooters_ops.explain_route(jsonb, timestamptz, jsonb) is
'What would become at this time of a notification with these facts (JSON object: type, job_type, mission_id, point_id, performer_id, attributes), by this config (null: the one in force), as a JSON object: routes, up to the one that decides, each with matches, or else with failed_key, wanted and given; recipients; escalations; reminders; limit (null: no timeout): rule, factor, minimum_seconds, etas and overrides, listed as routes are; holds: the active silences that would hold it. Changes nothing. SQLSTATE 22023: names what is wrong with the facts, or the path of the first bad key of the config; 55000: no config is in force.';

revoke execute on function scooters_ops.explain_route(jsonb, timestamptz, jsonb)
from public;
grant execute on function scooters_ops.explain_route(jsonb, timestamptz, jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
