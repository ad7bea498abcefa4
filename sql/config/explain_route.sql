-- Whom would this reach, by which route, and why?
-- A config that is not applied yet is put in force in a subtransaction, which is rolled
-- back: nothing of it remains, nobody else sees it, and its lock goes with it.
create or replace function scooters_ops.explain_route(
    facts jsonb,
    at timestamptz default now(),
    config jsonb default null
)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    known_types constant text[] := array_remove(
        enum_range(null::scooters_ops.monitoring_notification_type)::text[], 'test'
    );
    most_rows constant integer := 100000;
    checked jsonb;
    problem text;
    explained jsonb;
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
        explained := scooters_ops.route_facts(facts, at);
        if explained is null then
            raise exception using
                errcode = 'object_not_in_prerequisite_state',
                message = 'no config is in force: make config';
        end if;
        return explained;
    end if;

    checked := scooters_ops.checked_config(config);
    problem := scooters_ops.time_zone_problem(checked);
    if problem is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = problem;
    end if;

    -- Each value is stored once for each calendar.
    if
        (
            select sum(size.choices * greatest(size.calendars, 1))
            from (
                select jsonb_path_query(checked, '$.routes[*].match') as match
                union all
                select jsonb_path_query(checked, '$.detection.overrides[*].match')
            ) as listed
            cross join lateral (
                select
                    count(*) as choices,
                    count(*) filter (where wanted.key = 'at') as calendars
                from jsonb_each(listed.match) as wanted (key, value)
                cross join lateral jsonb_path_query(wanted.value, '$[*]')
            ) as size
        ) > most_rows
    then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'config: its matches have more than %s values, counted for each calendar',
                most_rows
            );
    end if;

    begin
        -- Like those who apply configs.
        lock table scooters_ops.compiled_config in share row exclusive mode;
        insert into scooters_ops.configs (config_id, config)
        overriding system value
        values (9223372036854775807, checked);
        explained := scooters_ops.route_facts(facts, at)
            || jsonb_build_object('config_id', null);
        raise exception using errcode = 'TRIAL';
    exception
        when sqlstate 'TRIAL' then null;
    end;
    return explained;
end
$$;

comment on function scooters_ops.explain_route(jsonb, timestamptz, jsonb) is
'What would become at this time of a notification with these facts (JSON object: type, job_type, mission_id, point_id, performer_id, attributes), by this config (null: the one in force), as a JSON object: routes, up to the one that decides, each with matches, or else with failed_key, wanted and given; recipients; escalations; reminders; limit (null: no timeout): rule, factor, minimum_seconds, etas and overrides, listed as routes are; holds: the active silences that would hold it. Changes nothing. SQLSTATE 22023: names what is wrong with the facts, or the path of the first bad key of the config, or that its matches are too many to try (100,000 values, each counted for each calendar of its match); 55000: no config is in force.';

revoke execute on function scooters_ops.explain_route(jsonb, timestamptz, jsonb)
from public;
grant execute on function scooters_ops.explain_route(jsonb, timestamptz, jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
