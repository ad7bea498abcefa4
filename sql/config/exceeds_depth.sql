-- Is a JSON value nested more than max_depth levels deep?
-- A number has depth 0, [] has 1, {"a": [1]} has 2. Counting the brackets answers for
-- nearly every value. Every part is immutable, so that the planner can inline it. The
-- path looks only max_depth levels down, so that a value too deep to be walked is
-- refused as quickly as any other.
create or replace function scooters_ops.exceeds_depth(value jsonb, max_depth integer)
returns boolean
language sql immutable parallel safe
return length(value::text) - length(translate(value::text, '{[', '')) > max_depth
and jsonb_path_exists(
    value,
    (
        'strict $.**{' || max_depth::text
        || '} ? (@.type() == "object" || @.type() == "array")'
    )::jsonpath
);

comment on function scooters_ops.exceeds_depth(jsonb, integer) is
'Whether a JSON value is nested more than max_depth levels deep. An array or object that holds only scalars is one level deep.';

revoke execute on function scooters_ops.exceeds_depth(jsonb, integer) from public;
