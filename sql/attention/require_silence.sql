-- May a silence have this match, and last so long?
-- A match that holds for everything is refused: it would mute the whole service.
create or replace function scooters_ops.require_silence(match jsonb, duration interval)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    longest_match constant integer := 8192;
    schema constant jsonb := scooters_ops.config_schema();
    longest constant interval := coalesce(
        (
            select make_interval(
                secs => (config #>> '{silences,longest_seconds}')::double precision
            )
            from scooters_ops.config_in_force
        ),
        interval '7 days'
    );
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

    -- A month counts as 30 days in a comparison, and may be shorter.
    if duration is null then
        raise exception using
            errcode = 'null_value_not_allowed',
            message = 'duration must not be null: every silence ends';
    elsif duration > longest then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                'duration is longer than silences.longest_seconds allows, %s seconds',
                extract(epoch from longest)::double precision
            );
    elsif duration <= interval '0' or now() + duration <= now() then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'duration must be more than 0';
    end if;
end
$$;

comment on function scooters_ops.require_silence(jsonb, interval) is
'Refuses what no silence may have: a match that is not as in routes[].match, is empty or longer than 8192 bytes, or names an unknown type or a calendar that the config in force lacks, and a duration that is not positive or longer than silences.longest_seconds. SQLSTATE 22023 (null: 22004): names the path, which begins with match, or duration.';

revoke execute on function scooters_ops.require_silence(jsonb, interval) from public;
