-- What happens when a config is applied?
-- It is validated against the schema that notifier/config/models.py generates, and
-- stored beside all earlier configs. If it can change what a pass finds, it wakes the
-- missions concerned: those with an open interval, and those that can get one.
create or replace function scooters_ops.apply_config(config jsonb)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
    -- These keys do not change what a pass finds.
    scheduling_keys constant text[] := array[
        'schedule', 'batch_size', 'stalled_after_seconds'
    ];
    known_types constant text[] := array_remove(
        enum_range(null::scooters_ops.monitoring_notification_type)::text[], 'test'
    );
    checked jsonb;
    missing_channel record;
    bad_type_path text;
    level_problem text;
    before scooters_ops.config_in_force;
    new_config_id bigint;
begin
    checked := scooters_ops.validate_json(config, scooters_ops.config_schema());

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

    select
        format(
            'routes[%s].match.type%s',
            route.n - 1,
            case jsonb_typeof(wanted.types) when 'array' then format('[%s]', choice.n - 1) end
        )
    into bad_type_path
    from jsonb_array_elements(checked -> 'routes') with ordinality as route (value, n)
    cross join lateral (select route.value #> '{match,type}' as types) as wanted
    cross join lateral jsonb_array_elements(
        case jsonb_typeof(wanted.types)
            when 'array' then wanted.types
            else jsonb_build_array(wanted.types)
        end
    ) with ordinality as choice (value, n)
    where
        wanted.types is not null
        and choice.value <> all(array(select to_jsonb(type) from unnest(known_types) as type))
    order by route.n, choice.n
    limit 1;
    if found then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = format(
                '%s: must be one of %s', bad_type_path, array_to_string(known_types, ', ')
            );
    end if;

    level_problem := scooters_ops.level_problem(checked);
    if level_problem is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = level_problem;
    end if;

    select * into before from scooters_ops.config_in_force;
    if before.config = checked then
        return before.config_id;
    end if;

    if
        -- Only if it changed: reading all time zones takes a tenth of a second.
        checked #> '{notifier,time_zone}'
        is distinct from before.config #> '{notifier,time_zone}'
        and not exists (
            select
            from pg_catalog.pg_timezone_names
            where name = checked #>> '{notifier,time_zone}'
        )
    then
        raise exception using
            errcode = 'invalid_parameter_value',
            message =
            'notifier.time_zone: is not a time zone such as UTC or Europe/Moscow';
    end if;

    insert into scooters_ops.configs (config)
    values (checked)
    returning config_id into new_config_id;

    -- Release paused channels: the new config may have fixed the cause.
    insert into scooters_ops.delivery_targets as known (channel, address)
    select
        channel.key,
        ''
    from jsonb_each(checked -> 'channels') as channel
    where channel.value <> 'null'
    order by channel.key
    on conflict (address, channel) do update
    set
        failures = 0,
        held_until = null
    where known.failures > 0;

    if
        (before.config -> 'detection') - scheduling_keys
        is distinct from (checked -> 'detection') - scheduling_keys
    then
        perform scooters_ops.wake_missions_under_way();
    end if;

    notify scooters_ops;
    return new_config_id;
end
$$;

comment on function scooters_ops.apply_config(jsonb) is
'Validates a config (JSON, see config.schema.json) and stores it; it takes effect with the next pass. Returns its config_id, or the current one if nothing changed. SQLSTATE 22023: names the path of the first bad key; nothing is changed then.';

revoke execute on function scooters_ops.apply_config(jsonb) from public;
