-- Who may use what in the router? The same roles as in a shard; comments too.
create or replace function scooters_router.finish_router(definitions jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    object record;
    part record;
begin
    for object in
        select
            kinds.name as kind,
            found.definition,
            routes.route,
            case kinds.name
                when 'views'
                    then format('scooters_ops.%I', found.definition ->> 'name')
                else format(
                    'scooters_ops.%I(%s)',
                    found.definition ->> 'name',
                    found.definition ->> 'types'
                )
            end as identity
        from jsonb_each(definitions - 'types') as kinds (name, list)
        cross join lateral jsonb_array_elements(kinds.list) as found (definition)
        inner join scooters_router.routes as routes
            on
                kinds.name = routes.kind || 's'
                and coalesce(
                    found.definition ->> 'signature', found.definition ->> 'name'
                ) = routes.object
        where routes.route <> 'shard'
    loop
        if object.kind = 'functions' then
            execute format('revoke execute on function %s from public', object.identity);
        end if;
        execute format(
            'comment on %s %s is %L',
            case object.kind when 'views' then 'view' else 'function' end,
            object.identity,
            object.definition ->> 'comment'
        );
        for part in
            select role.value as role
            from jsonb_array_elements_text(
                coalesce(nullif(object.definition -> 'roles', 'null'), '[]')
            ) as role
        loop
            execute format(
                'grant %s on %s %s to %I',
                case object.kind when 'views' then 'select' else 'execute' end,
                case object.kind when 'views' then 'table' else 'function' end,
                object.identity,
                part.role
            );
            -- A view calls it with the rights of its reader, who has none on the schema
            -- and so cannot call it otherwise.
            if object.kind = 'views' and object.route = 'all' then
                execute format(
                    'grant execute on function scooters_router.rows_of(text) to %I', part.role
                );
            end if;
        end loop;
        continue when object.kind <> 'views';
        for part in
            select
                listed.value ->> 'name' as name,
                listed.value ->> 'comment' as comment
            from jsonb_array_elements(object.definition -> 'columns') as listed
        loop
            execute format(
                'comment on column %s.%I is %L', object.identity, part.name, part.comment
            );
        end loop;
    end loop;
end
$$;

comment on function scooters_router.finish_router(jsonb) is
'Gives the public functions and views of the router the rights and comments that they have in a shard.';

revoke execute on function scooters_router.finish_router(jsonb) from public;
