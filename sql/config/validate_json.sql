-- Does a JSON value match a schema, and what is it with the defaults filled in?
-- Supports the part of JSON Schema that this project's schemas use. It stops at the
-- first bad key and names its path, as in routes[0].recipients[1].chat_id. It never
-- repeats a value, which may be a secret in the wrong place. The time taken is linear
-- in the size of the value.
-- maxBytes and maxDepth are keywords of our own: the length of the value as text, and
-- the levels of nesting.
create or replace function scooters_ops.validate_json(
    value jsonb,
    schema jsonb,
    path text default '',
    definitions jsonb default null
)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    value_type text := coalesce(jsonb_typeof(value), 'nothing');
    checked jsonb := value;
    problem text;
    missing_key text;
    tag_key text;
    part jsonb;
    matching jsonb[] := array[]::jsonb[];
    number numeric;
    double double precision;
begin
    if definitions is null then
        begin
            return scooters_ops.validate_json(
                value, schema, path, coalesce(schema -> '$defs', '{}')
            );
        exception
            when invalid_parameter_value then
                -- Raised again without the context of every level of the recursion.
                raise exception using
                    errcode = 'invalid_parameter_value',
                    message = sqlerrm;
        end;
    end if;

    if schema = 'true' then
        return value;
    elsif schema = 'false' then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('%s: unknown key', path);
    -- A reference to a schema, or a choice of several: by a tag, or by type.
    elsif schema ? '$ref' then
        return scooters_ops.validate_json(
            value,
            definitions -> split_part(schema ->> '$ref', '/', 3),
            path,
            definitions
        );
    elsif schema ? 'discriminator' then
        tag_key := schema #>> '{discriminator,propertyName}';
        part := schema #> '{discriminator,mapping}' -> (value ->> tag_key);
        if value_type <> 'object' then
            problem := 'must be an object';
        elsif part is null then
            path := scooters_ops.json_path(path, tag_key, true);
            select 'must be one of ' || string_agg(tag, ', ' order by tag)
            into problem
            from jsonb_object_keys(schema #> '{discriminator,mapping}') as tag;
        else
            return scooters_ops.validate_json(
                value, jsonb_build_object('$ref', part), path, definitions
            );
        end if;
    elsif schema ? 'anyOf' then
        for part in select option from jsonb_array_elements(schema -> 'anyOf') as option
        loop
            if part ? '$ref' then
                part := definitions -> split_part(part ->> '$ref', '/', 3);
            end if;
            if
                part ->> 'type' = value_type
                or (part ->> 'type' = 'integer' and value_type = 'number')
            then
                matching := matching || part;
            end if;
        end loop;
        if cardinality(matching) = 1 then
            return scooters_ops.validate_json(value, matching[1], path, definitions);
        end if;
        foreach part in array matching
        loop
            begin
                return scooters_ops.validate_json(value, part, path, definitions);
            exception
                when invalid_parameter_value then null;
            end;
        end loop;
        -- The description of what may be null says what null means.
        select 'must be ' || coalesce(
            case
                when not schema -> 'anyOf' @> '[{"type": "null"}]'
                    then lower(left(schema ->> 'description', 1))
                        || substr(schema ->> 'description', 2)
            end,
            string_agg(distinct coalesce(option ->> 'type', 'object'), ' or ')
        )
        into problem
        from jsonb_array_elements(schema -> 'anyOf') as option;
    end if;

    if problem is not null then
        null;
    elsif schema ->> 'type' <> value_type
        and not (schema ->> 'type' = 'integer' and value_type = 'number')
    then
        problem := format('must be %s, not %s', schema ->> 'type', value_type);
    elsif schema ? 'enum' and not schema -> 'enum' @> jsonb_build_array(value) then
        select 'must be one of ' || string_agg(option, ', ')
        into problem
        from jsonb_array_elements_text(schema -> 'enum') as option;
    elsif schema ? 'const' and schema -> 'const' <> value then
        problem := format('must be %s', schema ->> 'const');
    elsif value_type = 'number' then
        number := value::numeric;
        if abs(number) > 1e300 or (number <> 0 and abs(number) < 1e-300) then
            problem := 'must be 0, or from 1e-300 to 1e300 in size';
        elsif schema ->> 'type' = 'integer' then
            problem := case
                when value::text !~ '^-?[0-9]+$' then 'must be a whole number'
                when number < (schema ->> 'minimum')::numeric
                    then 'must be at least ' || (schema ->> 'minimum')
                when number <= (schema ->> 'exclusiveMinimum')::numeric
                    then 'must be more than ' || (schema ->> 'exclusiveMinimum')
                when number > (schema ->> 'maximum')::numeric
                    then 'must be at most ' || (schema ->> 'maximum')
                when number >= (schema ->> 'exclusiveMaximum')::numeric
                    then 'must be less than ' || (schema ->> 'exclusiveMaximum')
            end;
        else
            -- As a double, which is how programs read it and calculate with it.
            double := number::double precision;
            problem := case
                when double < (schema ->> 'minimum')::double precision
                    then 'must be at least ' || (schema ->> 'minimum')
                when double <= (schema ->> 'exclusiveMinimum')::double precision
                    then 'must be more than ' || (schema ->> 'exclusiveMinimum')
                when double > (schema ->> 'maximum')::double precision
                    then 'must be at most ' || (schema ->> 'maximum')
                when double >= (schema ->> 'exclusiveMaximum')::double precision
                    then 'must be less than ' || (schema ->> 'exclusiveMaximum')
            end;
        end if;
    elsif value_type = 'string' then
        problem := case
            when length(value #>> '{}') < (schema ->> 'minLength')::integer
                then format('must have %s characters or more', schema ->> 'minLength')
            when length(value #>> '{}') > (schema ->> 'maxLength')::integer
                then format('must have %s characters or less', schema ->> 'maxLength')
            when octet_length(value #>> '{}') > (schema ->> 'maxBytes')::integer
                then format('must have %s bytes or less', schema ->> 'maxBytes')
            when (value #>> '{}') !~ (schema ->> 'pattern')
                then coalesce(
                    'must be '
                    || lower(left(schema ->> 'description', 1))
                    || substr(schema ->> 'description', 2),
                    'has a bad form'
                )
        end;
    elsif value_type in ('array', 'object') then
        problem := case
            when octet_length(value::text) > (schema ->> 'maxBytes')::integer
                then format('must have %s bytes or less', schema ->> 'maxBytes')
            when
                schema ? 'maxDepth'
                and scooters_ops.exceeds_depth(value, (schema ->> 'maxDepth')::integer)
                then format('must be nested %s deep or less', schema ->> 'maxDepth')
        end;
    end if;

    if problem is not null then
        null;
    elsif value_type = 'array' then
        problem := case
            when jsonb_array_length(value) < (schema ->> 'minItems')::integer
                then format('must have %s items or more', schema ->> 'minItems')
            when jsonb_array_length(value) > (schema ->> 'maxItems')::integer
                then format('must have %s items or less', schema ->> 'maxItems')
        end;
        if problem is null and schema ? 'items' then
            select coalesce(
                jsonb_agg(
                    scooters_ops.validate_json(
                        item.value,
                        schema -> 'items',
                        format('%s[%s]', path, item.n - 1),
                        definitions
                    )
                    order by item.n
                ),
                '[]'
            )
            into checked
            from jsonb_array_elements(value) with ordinality as item (value, n);
        end if;
    elsif value_type = 'object' then
        if schema ?| array['properties', 'additionalProperties'] then
            select
                coalesce(
                    jsonb_object_agg(
                        key,
                        case
                            when item.value is null then property.value -> 'default'
                            else scooters_ops.validate_json(
                                item.value,
                                coalesce(
                                    property.value, schema -> 'additionalProperties', 'true'
                                ),
                                case
                                    when key ~ '^[A-Za-z][A-Za-z_]{0,38}[0-9]?$'
                                        then concat_ws('.', nullif(path, ''), key)
                                    else scooters_ops.json_path(
                                        path,
                                        key,
                                        property.value is not null
                                        or schema -> 'additionalProperties' <> 'false'
                                    )
                                end,
                                definitions
                            )
                        end
                    ) filter (
                        where item.value is not null or property.value -> 'default' <> 'null'
                    ),
                    '{}'
                ),
                min(key) filter (where item.value is null and schema -> 'required' ? key)
            into checked, missing_key
            from jsonb_each(value) as item
            full join jsonb_each(schema -> 'properties') as property using (key);
        end if;
        if missing_key is not null then
            path := scooters_ops.json_path(path, missing_key, true);
            problem := 'missing';
        elsif
            schema ? 'not'
            and value ?& array(select jsonb_array_elements_text(schema #> '{not,required}'))
        then
            select 'must have only one of ' || string_agg(forbidden, ', ')
            into problem
            from jsonb_array_elements_text(schema #> '{not,required}') as forbidden;
        end if;
    end if;

    if problem is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('%s: %s', coalesce(nullif(path, ''), 'the document'), problem);
    end if;
    return checked;
end
$$;

comment on function scooters_ops.validate_json(jsonb, jsonb, text, jsonb) is
'The value with the schema''s defaults filled in. SQLSTATE 22023: names the path of the first bad key, never its value. definitions: the $defs of the root schema, for the recursion.';

revoke execute on function scooters_ops.validate_json(jsonb, jsonb, text, jsonb)
from public;
