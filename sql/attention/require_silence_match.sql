-- May a silence have this match?
-- A match that holds for everything is refused: it would mute the whole service.
create or replace function scooters_ops.require_silence_match(match jsonb)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    longest_match constant integer := 8192;
    schema constant jsonb := scooters_ops.config_schema();
    problem text;
begin
    if match is null then
        raise exception using
            errcode = 'null_value_not_allowed',
            message = 'match must not be null';
    end if;

    perform scooters_ops.validate_json(
        match,
        (schema #> '{$defs,Route,properties,match}')
        || jsonb_build_object('$defs', schema -> '$defs', 'maxBytes', longest_match),
        'match'
    );

    -- As for a route, whose path is replaced.
    problem := case
        when match = '{}' then 'match: must not be empty, or it would hold every alert'
        else regexp_replace(
            scooters_ops.match_problem(
                jsonb_build_object(
                    'calendars',
                    coalesce(
                        (select config -> 'calendars' from scooters_ops.config_in_force), '{}'
                    ),
                    'detection', jsonb '{"timeouts": {}, "overrides": []}',
                    'routes', jsonb_build_array(jsonb_build_object('match', match))
                )
            ),
            '^routes\[0\]\.',
            ''
        )
    end;
    if problem is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = problem;
    end if;
end
$$;

comment on function scooters_ops.require_silence_match(jsonb) is
'Refuses a match that no silence may have: one that is not as in routes[].match, is empty or longer than 8192 bytes, or names an unknown type or a calendar that the config in force lacks. SQLSTATE 22023 (null: 22004): names the path, which begins with match.';

revoke execute on function scooters_ops.require_silence_match(jsonb) from public;
