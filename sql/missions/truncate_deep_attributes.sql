-- What of these attributes can be built into a larger document?
-- Attributes are at most 32 levels deep where they come in. Whatever came in otherwise
-- may be as deep as the server can read at all, and then it fails whoever puts it into
-- anything, a pass for example.
create or replace function scooters_ops.shallow(attributes jsonb)
returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
select case
    when scooters_ops.is_deeper(attributes, 32)
        then (
            select jsonb_object_agg(
                attribute.key,
                case
                    when scooters_ops.is_deeper(attribute.value, 31)
                        then jsonb '"(nested too deeply)"'
                    else attribute.value
                end
            )
            from jsonb_each(attributes) as attribute
        )
    else attributes
end
$$;

comment on function scooters_ops.shallow(jsonb) is
'A mission''s attributes (JSON object) where each that is nested too deeply is replaced by a text that says so.';

revoke execute on function scooters_ops.shallow(jsonb) from public;
