-- Which part of a channel's limits does one shard get?
-- All shards together send as many messages per second as the config allows. Where a
-- limit allows fewer messages than there are shards, each shard may send one in a longer
-- period.
create or replace function scooters_router.divided_config(config jsonb)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    parts constant integer := (select count(*) from scooters_router.shards);
    divided jsonb := config;
    rates record;
    in_flight record;
begin
    for rates in
        select
            array['channels', channel.key, 'limits', list.name] as path,
            channel.value #> array['limits', list.name] as rules
        from jsonb_each(nullif(config -> 'channels', 'null')) as channel
        cross join unnest(array['per_channel', 'per_target']) as list (name)
        where jsonb_typeof(channel.value #> array['limits', list.name]) = 'array'
    loop
        divided := jsonb_set(
            divided,
            rates.path,
            (
                select
                    coalesce(
                        jsonb_agg(
                            jsonb_build_object(
                                'messages', part.messages,
                                'seconds',
                                least(
                                    rule.seconds * part.messages * parts / rule.messages,
                                    86400
                                )
                            )
                        ),
                        '[]'
                    )
                from jsonb_to_recordset(rates.rules) as rule (messages integer, seconds float8)
                cross join lateral (
                    select greatest(rule.messages / parts, 1) as messages
                ) as part
            )
        );
    end loop;
    for in_flight in
        select
            array['channels', channel.key, 'limits', 'in_flight_per_target'] as path,
            (channel.value #>> '{limits,in_flight_per_target}')::integer as messages
        from jsonb_each(nullif(config -> 'channels', 'null')) as channel
        where jsonb_typeof(channel.value #> '{limits,in_flight_per_target}') = 'number'
    loop
        divided := jsonb_set(
            divided, in_flight.path, to_jsonb(greatest(in_flight.messages / parts, 1))
        );
    end loop;
    return divided;
end
$$;

comment on function scooters_router.divided_config(jsonb) is
'The config for one shard: its part of the limits of each channel; everything else is the same.';

revoke execute on function scooters_router.divided_config(jsonb) from public;
