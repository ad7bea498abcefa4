-- Which views lose a column that nobody reads?
-- mission_routes loses route_eta, and timeout_rules loses ratio. The functions and
-- views that read the old ones, an analyst's own views among them, keep them under
-- another name and go on working. sql/retired.sql drops the old views when nothing
-- reads them any more. Where sql/ was never installed, there is nothing to do.
do $$
declare
    held record;
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
    end if;

    -- Whoever may read an old view may read the new one too.
    for held in
        select
            replace(
                format('%I.%I', old_view.relnamespace::regnamespace, old_view.relname),
                '_before_0014',
                ''
            ) as view_name,
            case when acl.grantee = 0 then 'public' else acl.grantee::regrole::text end
                as grantee,
            case when acl.is_grantable then ' with grant option' else '' end as options
        from pg_catalog.pg_class as old_view
        cross join lateral aclexplode(old_view.relacl) as acl
        where
            old_view.relname in ('mission_routes_before_0014', 'timeout_rules_before_0014')
            and old_view.relnamespace = to_regnamespace('scooters_ops')
            and acl.privilege_type = 'SELECT'
            and acl.grantee <> old_view.relowner
    loop
        execute format(
            'grant select on %s to %s%s', held.view_name, held.grantee, held.options
        );
    end loop;
end
$$;
