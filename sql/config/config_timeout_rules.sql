-- How long may an interval of each type last by this config, as a multiple of its eta?
create or replace function scooters_ops.config_timeout_rules(config jsonb)
returns table (
    type scooters_ops.monitoring_notification_type,
    is_enabled boolean,
    factor numeric,
    minimum interval
)
language sql stable parallel safe
begin atomic -- noqa: disable=all
select
    rule.type::scooters_ops.monitoring_notification_type as type,
    (rule.settings ->> 'enabled')::boolean as is_enabled,
    (rule.settings ->> 'factor')::numeric as factor,
    make_interval(
        secs => (rule.settings ->> 'minimum_seconds')::double precision
    ) as minimum
from jsonb_each(config_timeout_rules.config -> 'detection' -> 'timeouts')
    as rule (type, settings);
end; -- noqa: enable=all

comment on function scooters_ops.config_timeout_rules(jsonb) is
'The rule of each timeout type in a config with its defaults: whether it is enabled, the factor (a number without unit) and the minimum (interval).';

revoke execute on function scooters_ops.config_timeout_rules(jsonb) from public;
grant execute on function scooters_ops.config_timeout_rules(jsonb)
to scooters_ops_analyst;
