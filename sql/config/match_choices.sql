-- Which values of which keys does a match accept?
create or replace function scooters_ops.match_choices(match jsonb)
returns table (key text, value jsonb)
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select distinct
    wanted.key collate "C" as key,
    chosen.value
from jsonb_each(match_choices.match) as wanted (key, choices)
cross join lateral jsonb_array_elements(
    case jsonb_typeof(wanted.choices)
        when 'array' then wanted.choices
        else jsonb_build_array(wanted.choices)
    end
) as chosen (value);
end; -- noqa: enable=all

comment on function scooters_ops.match_choices(jsonb) is
'Each value (JSON) that a match (JSON object, as in routes[].match) accepts, with its key.';

revoke execute on function scooters_ops.match_choices(jsonb) from public;
grant execute on function scooters_ops.match_choices(jsonb) to scooters_ops_analyst;
