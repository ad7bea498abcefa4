-- Makes or updates everything that users of the router see.
-- It is one transaction, so that a user sees the old router or the new one.
create or replace function scooters_router.build_router(definitions jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    kind record;
    object record;
    new_label text;
begin
    for kind in
        select
            part.value ->> 'name' as name,
            part.value -> 'labels' as labels,
            part.value -> 'columns' as columns
        from jsonb_array_elements(definitions -> 'types') with ordinality as part (value, n)
        order by part.value -> 'labels' is null, part.n
    loop
        if to_regtype(format('scooters_ops.%I', kind.name)) is not null then
            for new_label in
                select part.value
                from jsonb_array_elements_text(nullif(kind.labels, 'null'))
                    with ordinality as part (value, n)
                order by part.n
            loop
                execute format(
                    'alter type scooters_ops.%I add value if not exists %L', kind.name, new_label
                );
            end loop;
            continue;
        end if;
        execute format(
            'create type scooters_ops.%I as %s',
            kind.name,
            case
                when kind.labels <> 'null'
                    then (
                        select format('enum (%s)', string_agg(quote_literal(label), ', '))
                        from jsonb_array_elements_text(kind.labels) as label
                    )
                else (
                    select format(
                        '(%s)',
                        string_agg(
                            format('%I %s', part.value ->> 'name', part.value ->> 'type'),
                            ', ' order by part.n
                        )
                    )
                    from jsonb_array_elements(kind.columns) with ordinality as part (value, n)
                )
            end
        );
    end loop;

    for object in
        select
            routes.kind,
            routes.route,
            routes.key,
            routes.merge,
            found.definition
        from jsonb_each(definitions - 'types') as kinds (name, list)
        cross join lateral jsonb_array_elements(kinds.list)
            with ordinality as found (definition, n)
        inner join scooters_router.routes as routes
            on
                kinds.name = routes.kind || 's'
                and coalesce(
                    found.definition ->> 'signature', found.definition ->> 'name'
                ) = routes.object
        where routes.route <> 'shard'
        order by
            routes.route = 'written',
            routes.route = 'on_top',
            routes.route <> 'here',
            routes.kind,
            found.n
    loop
        if object.kind = 'view' then
            perform scooters_router.build_view(object.definition, object.route, object.merge);
        elsif object.route in ('here', 'on_top') then
            execute object.definition ->> 'definition';
        elsif object.route <> 'written' then
            begin
                perform scooters_router.build_function(
                    object.definition, object.route, object.key, object.merge
                );
            exception when invalid_function_definition then
                -- Another result than in the version before.
                execute format(
                    'drop function if exists scooters_ops.%1$I(%2$s),'
                    ' scooters_router.%1$I(%3$s)',
                    object.definition ->> 'name',
                    object.definition ->> 'types',
                    concat_ws(', ', 'integer', nullif(object.definition ->> 'types', ''))
                );
                perform scooters_router.build_function(
                    object.definition, object.route, object.key, object.merge
                );
            end;
        else
            perform scooters_router.build_question(object.definition);
        end if;
    end loop;
end
$$;

comment on function scooters_router.build_router(jsonb) is
'Makes or updates the public functions and views of the router, from what definitions.sql says of a shard.';

revoke execute on function scooters_router.build_router(jsonb) from public;
