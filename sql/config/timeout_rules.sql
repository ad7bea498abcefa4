-- How long may an interval of each type last, as a multiple of its eta?
create or replace view scooters_ops.timeout_rules as
select
    rule.type,
    rule.is_enabled,
    rule.factor,
    rule.minimum
from scooters_ops.config_in_force as in_force
cross join lateral scooters_ops.config_timeout_rules(in_force.config) as rule;

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
