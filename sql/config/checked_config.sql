-- Is this a config, and what is it with the defaults filled in?
-- Reading all time zones takes a tenth of a second, so time_zone_problem() is asked
-- apart.
create or replace function scooters_ops.checked_config(config jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    checked constant jsonb := scooters_ops.validate_json(
        config, scooters_ops.config_schema()
    );
    missing_channel record;
    problem text;
begin
    select
        named.path || format('.recipients[%s].type', recipient.n - 1) as path,
        recipient.value ->> 'type' as channel
    into missing_channel
    from jsonb_array_elements(checked -> 'routes') with ordinality as route (value, n)
    cross join lateral (
        select
            0 as level_n,
            format('routes[%s]', route.n - 1) as path,
            route.value -> 'recipients' as recipients
        union all
        select
            level.n,
            format('routes[%s].escalate[%s]', route.n - 1, level.n - 1),
            level.value -> 'recipients'
        from jsonb_array_elements(route.value -> 'escalate')
            with ordinality as level (value, n)
    ) as named
    cross join lateral jsonb_array_elements(named.recipients)
        with ordinality as recipient (value, n)
    where coalesce(checked -> 'channels' -> (recipient.value ->> 'type'), 'null') = 'null'
    order by route.n, named.level_n, recipient.n
    limit 1;
    if found then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                '%s: channel ''%s'' is not configured under channels',
                missing_channel.path,
                missing_channel.channel
            );
    end if;

    problem := coalesce(
        scooters_ops.match_problem(checked), scooters_ops.level_problem(checked)
    );
    if problem is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = problem;
    end if;
    return checked;
end
$$;

comment on function scooters_ops.checked_config(jsonb) is
'The config with the defaults filled in. SQLSTATE 22023: names the path of the first bad key. It does not check whether this server knows the time zones.';

revoke execute on function scooters_ops.checked_config(jsonb) from public;
