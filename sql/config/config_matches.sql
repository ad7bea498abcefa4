-- Which matches do the routes and overrides of this config have?
create or replace function scooters_ops.config_matches(config jsonb)
returns table (scope text, match_id bigint, match jsonb)
language sql stable parallel safe
begin atomic -- noqa: disable=all
select
    'route',
    route.n,
    route.value -> 'match'
from jsonb_array_elements(config_matches.config -> 'routes')
    with ordinality as route (value, n)
union all
select
    'override',
    override.n,
    override.value -> 'match'
from jsonb_array_elements(config_matches.config #> '{detection,overrides}')
    with ordinality as override (value, n);
end; -- noqa: enable=all

comment on function scooters_ops.config_matches(jsonb) is
'The matches (JSON objects) of a config with its defaults, each with its scope, route or override, and its place there, from 1.';

revoke execute on function scooters_ops.config_matches(jsonb) from public;
grant execute on function scooters_ops.config_matches(jsonb) to scooters_ops_analyst;
