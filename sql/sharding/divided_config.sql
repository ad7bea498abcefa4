-- Which part of the config does one shard get?
-- All shards together send as many messages per second as the config allows. Where a
-- limit allows fewer messages than there are shards, each shard may send one in a
-- longer period. Messages in flight cannot be fewer than one in each shard. Shards'
-- messages have buttons, and the router's notifier asks for the presses of all of them.
create or replace function scooters_router.divided_config(config jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    parts constant integer := (select count(*) from scooters_router.shards);
    longest_seconds constant integer := 86400; -- the schema allows no more
    divided jsonb := config;
    rate record;
    in_flight record;
    buttons_path text[];
begin
    for rate in
        select
            array['channels', channel.key, 'limits', list.key, (rule.n - 1)::text] as path,
            format(
                'channels.%s.limits.%s[%s]', channel.key, list.key, rule.n - 1
            ) as name,
            part.messages,
            (rule.value ->> 'seconds')::numeric
            * part.messages * parts / (rule.value ->> 'messages')::integer as seconds
        from jsonb_each(config -> 'channels') as channel
        cross join lateral jsonb_each(
            case jsonb_typeof(channel.value -> 'limits')
                when 'object' then channel.value -> 'limits'
            end
        ) as list
        cross join lateral jsonb_array_elements(
            case jsonb_typeof(list.value) when 'array' then list.value end
        ) with ordinality as rule (value, n)
        cross join lateral (
            select greatest((rule.value ->> 'messages')::integer / parts, 1) as messages
        ) as part
        order by channel.key, list.key, rule.n
    loop
        if rate.seconds > longest_seconds then
            raise exception using
                errcode = 'invalid_parameter_value',
                message = format(
                    '%s: allows too few messages for %s shards: each must be able to send'
                    ' one in %s seconds',
                    rate.name, parts, longest_seconds
                );
        end if;
        divided := jsonb_set(
            divided,
            rate.path,
            jsonb_build_object('messages', rate.messages, 'seconds', rate.seconds::float8)
        );
    end loop;

    for in_flight in
        select
            array['channels', channel.key, 'limits', 'in_flight_per_target'] as path,
            (channel.value #>> '{limits,in_flight_per_target}')::integer as messages
        from jsonb_each(config -> 'channels') as channel
        where jsonb_typeof(channel.value #> '{limits,in_flight_per_target}') = 'number'
    loop
        divided := jsonb_set(
            divided, in_flight.path, to_jsonb(greatest(in_flight.messages / parts, 1))
        );
    end loop;

    for buttons_path in
        select array['channels', channel.key, 'buttons']
        from jsonb_each(config -> 'channels') as channel
        where channel.value ->> 'buttons' = 'true'
    loop
        divided := jsonb_set(divided, buttons_path, '"shown"');
    end loop;
    return divided;
end
$$;

comment on function scooters_router.divided_config(jsonb) is
'The config for one shard: its part of the limits of each channel, and buttons that are only shown; everything else is the same. SQLSTATE 22023: names a limit that cannot be divided. The config must be valid, with the defaults filled in.';

revoke execute on function scooters_router.divided_config(jsonb) from public;
