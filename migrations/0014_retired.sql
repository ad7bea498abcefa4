-- Which views lose a column that nobody reads?
-- mission_routes loses route_eta, and timeout_rules loses ratio. The functions and
-- views that read the old ones, an analyst's own views among them, keep them under
-- another name and go on working. sql/retired.sql drops the old views when nothing
-- reads them any more. Where sql/ was never installed, there is nothing to do.
do $$
begin
    if to_regclass('scooters_ops.mission_routes') is not null then
        alter view scooters_ops.mission_routes rename to mission_routes_before_0014;
        create view scooters_ops.mission_routes as
        select
            mission_id,
            point_id,
            position,
            eta
        from scooters_ops.mission_points;
        grant select on scooters_ops.mission_routes to scooters_ops_analyst;
    end if;

    if to_regclass('scooters_ops.timeout_rules') is not null then
        alter view scooters_ops.timeout_rules rename to timeout_rules_before_0014;
        create view scooters_ops.timeout_rules as
        select
            rule.type::scooters_ops.monitoring_notification_type as type,
            (rule.settings ->> 'enabled')::boolean as is_enabled,
            (rule.settings ->> 'factor')::numeric as factor,
            make_interval(
                secs => (rule.settings ->> 'minimum_seconds')::double precision
            ) as minimum
        from scooters_ops.config_in_force as in_force
        cross join
            jsonb_each(in_force.config -> 'detection' -> 'timeouts')
                as rule (type, settings);
        grant select on scooters_ops.timeout_rules to scooters_ops_analyst;
    end if;
end
$$;
