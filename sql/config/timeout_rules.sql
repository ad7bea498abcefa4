-- How long may an interval of each type last, as a multiple of its eta?
create or replace view scooters_ops.timeout_rules as
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

comment on view scooters_ops.timeout_rules is
'The rule of each timeout type in the config in force: limit = greatest(eta * factor, minimum).';
comment on column scooters_ops.timeout_rules.type is
'timeout_in_point or timeout_between_points.';
comment on column scooters_ops.timeout_rules.is_enabled is
'Whether passes notify of this type.';
comment on column scooters_ops.timeout_rules.factor is
'How many times its eta an interval may last (a number without unit).';
comment on column scooters_ops.timeout_rules.minimum is
'No limit is shorter than this (interval).';

grant select on scooters_ops.timeout_rules to scooters_ops_analyst;
