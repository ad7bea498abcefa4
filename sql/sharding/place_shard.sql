-- Where is this shard? Called again, it follows a shard that has moved.
-- What is secret stands in user mappings, which only their owner and superusers may
-- read; servers are readable to everybody.
create or replace function scooters_router.place_shard(
    number integer,
    shard_name text,
    address jsonb,
    credentials jsonb
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    own_options constant text := coalesce(address ->> 'options' || ' ', '');
    kind record;
begin
    insert into scooters_router.shards (shard, name)
    values (number, shard_name)
    on conflict (shard) do update set name = excluded.name;

    for kind in
        select
            'postgres_fdw' as wrapper,
            'shard_' || number as server,
            -- Planning at once for the whole answer makes joins in the shard four times
            -- as fast; compiling them takes longer than they do.
            address || jsonb_build_object(
                'options', own_options || '-c cursor_tuple_fraction=1 -c jit=off'
            ) as options
        union all
        select
            'plproxy',
            scooters_router.cluster_of(number),
            jsonb_build_object(
                'connection_lifetime', '1800',
                'p0',
                (
                    select string_agg(
                        format(
                            '%s=''%s''',
                            part.key,
                            replace(replace(part.value, '\', '\\'), '''', '\''')
                        ),
                        ' '
                    )
                    from jsonb_each_text(
                        -- PL/Proxy sends values as text. The functions that call it have
                        -- the same settings (build_function.sql).
                        address || jsonb_build_object(
                            'options',
                            own_options
                            || '-c datestyle=ISO,YMD -c intervalstyle=postgres'
                            ' -c extra_float_digits=1 -c timezone=UTC'
                        )
                    ) as part
                )
            )
    loop
        if
            not exists (
                select from pg_foreign_server as known where known.srvname = kind.server
            )
        then
            execute format(
                'create server %I foreign data wrapper %I options (%s)',
                kind.server,
                kind.wrapper,
                (
                    select string_agg(format('%I %L', option.key, option.value), ', ')
                    from jsonb_each_text(kind.options) as option
                )
            );
            execute format('create user mapping for current_user server %I', kind.server);
        end if;
        perform scooters_router.set_options(
            format('server %I', kind.server),
            (select srvoptions from pg_foreign_server where srvname = kind.server),
            kind.options
        );
        perform scooters_router.set_options(
            format('user mapping for current_user server %I', kind.server),
            (
                select mapping.umoptions
                from pg_user_mappings as mapping
                where
                    mapping.srvname = kind.server
                    and mapping.usename = current_user
            ),
            credentials
        );
    end loop;
end
$$;

comment on function scooters_router.place_shard(integer, text, jsonb, jsonb) is
'Says where a shard is (libpq''s options, without secrets) and how to log in there (user, password).';

revoke execute on function
scooters_router.place_shard(integer, text, jsonb, jsonb) from public;
