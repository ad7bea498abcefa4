-- Is this JSON what the schema says, and what is it with its defaults filled in?
-- Walks the part of JSON Schema that the project's schemas use, and stops at the first
-- bad key, which the error names by its path: routes[0].recipients[1].chat_id.
create or replace function scooters_ops.checked_json(
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
    known constant jsonb := coalesce(definitions, schema -> '$defs', '{}');
    place constant text := coalesce(nullif(path, ''), 'the document');
    value_type text := coalesce(jsonb_typeof(value), 'nothing');
    description constant text :=
        lower(left(schema ->> 'description', 1)) || substr(schema ->> 'description', 2);
    checked jsonb := value;
    problem text;
    key text;
    part jsonb;
    number numeric;
    position integer := 0;
    candidates integer := 0;
begin
    -- A schema elsewhere, or one of several: by the tag that tells them apart, or by
    -- type.
    if schema ? '$ref' then
        return scooters_ops.checked_json(
            value, known -> split_part(schema ->> '$ref', '/', 3), path, known
        );
    elsif schema ? 'discriminator' then
        key := schema #>> '{discriminator,propertyName}';
        part := schema #> '{discriminator,mapping}' -> (value ->> key);
        if value_type <> 'object' then
            problem := 'must be an object';
        elsif part is null then
            path := concat_ws('.', nullif(path, ''), key);
            raise exception using
                errcode = 'invalid_parameter_value',
                message = format(
                    '%s: %s is not one of %s',
                    path,
                    coalesce(value -> key, 'null'),
                    (
                        select string_agg(tag, ', ' order by tag)
                        from jsonb_object_keys(schema #> '{discriminator,mapping}') as tag
                    )
                );
        else
            return scooters_ops.checked_json(
                value, jsonb_build_object('$ref', part), path, known
            );
        end if;
    elsif schema ? 'anyOf' then
        for part in select option from jsonb_array_elements(schema -> 'anyOf') as option
        loop
            if part ? '$ref' then
                part := known -> split_part(part ->> '$ref', '/', 3);
            end if;
            if
                part ->> 'type' = value_type
                or (part ->> 'type' = 'integer' and value_type = 'number')
            then
                begin
                    return scooters_ops.checked_json(value, part, path, known);
                exception
                    when invalid_parameter_value then
                        candidates := candidates + 1;
                        problem := sqlerrm;
                end;
            end if;
        end loop;
        if candidates = 1 then
            raise exception using errcode = 'invalid_parameter_value', message = problem;
        end if;
        select 'must be ' || coalesce(
            description,
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
        problem := case
            when schema ->> 'type' = 'integer' and value::text !~ '^-?[0-9]+$'
                then 'must be a whole number'
            when number < (schema ->> 'minimum')::numeric
                then 'must be at least ' || (schema ->> 'minimum')
            when number <= (schema ->> 'exclusiveMinimum')::numeric
                then 'must be more than ' || (schema ->> 'exclusiveMinimum')
            when number > (schema ->> 'maximum')::numeric
                then 'must be at most ' || (schema ->> 'maximum')
            when number >= (schema ->> 'exclusiveMaximum')::numeric
                then 'must be less than ' || (schema ->> 'exclusiveMaximum')
        end;
    elsif value_type = 'string' then
        problem := case
            when length(value #>> '{}') < (schema ->> 'minLength')::integer
                then format('must have %s characters or more', schema ->> 'minLength')
            when length(value #>> '{}') > (schema ->> 'maxLength')::integer
                then format('must have %s characters or less', schema ->> 'maxLength')
            when (value #>> '{}') !~ (schema ->> 'pattern')
                then coalesce('must be ' || description, 'has a bad form')
        end;
    elsif value_type = 'array' then
        if jsonb_array_length(value) < (schema ->> 'minItems')::integer then
            problem := format('must have %s items or more', schema ->> 'minItems');
        end if;
        checked := '[]';
        for part in select item from jsonb_array_elements(value) as item
        loop
            checked := checked || jsonb_build_array(
                scooters_ops.checked_json(
                    part, schema -> 'items', format('%s[%s]', path, position), known
                )
            );
            position := position + 1;
        end loop;
    elsif value_type = 'object' then
        for key, part in select * from jsonb_each(value)
        loop
            if
                not coalesce(schema -> 'properties' ? key, false)
                and schema -> 'additionalProperties' = 'false'
            then
                raise exception using
                    errcode = 'invalid_parameter_value',
                    message = format(
                        '%s: unknown key', concat_ws('.', nullif(path, ''), key)
                    );
            end if;
            checked := jsonb_set(
                checked,
                array[key],
                scooters_ops.checked_json(
                    part,
                    coalesce(
                        schema -> 'properties' -> key,
                        schema -> 'additionalProperties',
                        'true'
                    ),
                    concat_ws('.', nullif(path, ''), key),
                    known
                )
            );
        end loop;
        for key in select * from jsonb_array_elements_text(schema -> 'required')
        loop
            if not value ? key then
                raise exception using
                    errcode = 'invalid_parameter_value',
                    message = format('%s: missing', concat_ws('.', nullif(path, ''), key));
            end if;
        end loop;
        if value ?& array(select jsonb_array_elements_text(schema #> '{not,required}')) then
            select 'must have only one of ' || string_agg(forbidden, ', ')
            into problem
            from jsonb_array_elements_text(schema #> '{not,required}') as forbidden;
        end if;
        for key, part in select * from jsonb_each(schema -> 'properties')
        loop
            if part -> 'default' <> 'null' and not value ? key then
                checked := jsonb_set(checked, array[key], part -> 'default');
            end if;
        end loop;
    end if;

    if problem is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format('%s: %s', place, problem);
    end if;
    return checked;
end
$$;

comment on function scooters_ops.checked_json(jsonb, jsonb, text, jsonb) is
'The value with the schema''s defaults filled in. SQLSTATE 22023 at the first bad key, naming its path. definitions: the root schema''s $defs, within the recursion.';

revoke execute on function scooters_ops.checked_json(jsonb, jsonb, text, jsonb)
from public;
