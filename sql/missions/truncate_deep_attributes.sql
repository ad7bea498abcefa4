-- How are a mission's attributes put into a larger JSON document?
-- create_mission and the table's triggers accept 32 levels. Rows that came in another
-- way may be nested as deep as the server can parse; building anything larger from them
-- would then fail, and with it a whole pass.
create or replace function scooters_ops.truncate_deep_attributes(attributes jsonb)
returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
select case
    when scooters_ops.exceeds_depth(attributes, 32)
        then (
            select jsonb_object_agg(
                attribute.key,
                case
                    when scooters_ops.exceeds_depth(attribute.value, 31)
                        then jsonb '"(nested too deeply)"'
                    else attribute.value
                end
            )
            from jsonb_each(attributes) as attribute
        )
    else attributes
end
$$;

comment on function scooters_ops.truncate_deep_attributes(jsonb) is
'A mission''s attributes (JSON object), with those that are nested too deeply replaced by a note.';

revoke execute on function scooters_ops.truncate_deep_attributes(jsonb) from public;
