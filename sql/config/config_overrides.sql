-- What does each override of this config make of the rules of a timeout type?
create or replace function scooters_ops.config_overrides(config jsonb)
returns table (
    match_id bigint,
    type scooters_ops.monitoring_notification_type,
    name text,
    factor numeric,
    binary_factor double precision,
    minimum interval,
    job_eta_seconds jsonb,
    default_job_eta interval
)
language sql stable parallel safe
begin atomic -- noqa: disable=all
select
    override.n,
    rule.type,
    override.value ->> 'name',
    coalesce((changed.rule ->> 'factor')::numeric, rule.factor),
    coalesce((changed.rule ->> 'factor')::double precision, rule.factor),
    coalesce(
        make_interval(
            secs => (changed.rule ->> 'minimum_seconds')::double precision
        ),
        rule.minimum
    ),
    case
        when
            override.value -> 'job_eta_seconds' <> '{}'
            or override.value ->> 'default_job_eta_seconds' is not null
            then
                (config_overrides.config #> '{detection,job_eta_seconds}')
                || (override.value -> 'job_eta_seconds')
    end,
    make_interval(
        secs => coalesce(
            override.value ->> 'default_job_eta_seconds',
            config_overrides.config #>> '{detection,default_job_eta_seconds}'
        )::double precision
    )
from jsonb_array_elements(config_overrides.config #> '{detection,overrides}')
    with ordinality as override (value, n)
cross join scooters_ops.config_timeout_rules(config_overrides.config) as rule
cross join lateral (
    select override.value -> 'timeouts' -> rule.type::text as rule
) as changed;
end; -- noqa: enable=all

comment on function scooters_ops.config_overrides(jsonb) is
'The overrides of a config with its defaults, one row for each timeout type, as the view override_rules shows those of the config in force.';

revoke execute on function scooters_ops.config_overrides(jsonb) from public;
grant execute on function scooters_ops.config_overrides(jsonb) to scooters_ops_analyst;
