-- Is this JSON nested deeper than so many levels?
-- A number or a text is 0 deep, [] is 1, {"a": [1]} is 2. It looks no further down than
-- it must: what is too deep to be walked is as quickly refused as anything else.
create or replace function scooters_ops.is_deeper(value jsonb, levels integer)
returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
select jsonb_path_exists(
    value,
    format(
        'strict $.**{%s} ? (@.type() == "object" || @.type() == "array")', levels
    )::jsonpath
)
$$;

comment on function scooters_ops.is_deeper(jsonb, integer) is
'Whether a JSON value is nested more than so many levels deep: 1 is an array or object of nothing but numbers, texts and the like.';

revoke execute on function scooters_ops.is_deeper(jsonb, integer) from public;
