-- What does a public view look like in a router?
-- Of missions: a table that is partitioned by their hash over the shards' own views, so
-- that a question about one mission goes to one shard. Others: the rows of all shards,
-- merged (without merge: those that differ). definition: as definitions.sql says.
-- Columns of a newer version are appended.
create or replace function scooters_router.build_view(
    definition jsonb,
    route text,
    merge text
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    name constant text := definition ->> 'name';
    shard_count constant integer := (select count(*) from scooters_router.shards);
    columns constant text := (
        select string_agg(
            format(
                '%I %s%s',
                part.value ->> 'name',
                part.value ->> 'type',
                case part.value ->> 'type' when 'text' then ' collate "C"' else '' end
            ),
            ', ' order by part.n
        )
        from jsonb_array_elements(definition -> 'columns') with ordinality as part (value, n)
    );
    names constant text := (
        select string_agg(quote_ident(part.value ->> 'name'), ', ' order by part.n)
        from jsonb_array_elements(definition -> 'columns') with ordinality as part (value, n)
    );
    shard integer;
begin
    if route = 'here' then
        execute format(
            'create or replace view scooters_ops.%I as %s', name, definition ->> 'definition'
        );
        return;
    end if;

    -- Kept if it is as it should be: others may be reading it.
    if
        route = 'mission'
        and to_regclass(format('scooters_router.%I', name)) is null
    then
        execute format(
            'create table scooters_router.%I (%s) partition by hash (mission_id)',
            name, columns
        );
    end if;
    for shard in 0..shard_count - 1 loop
        continue when to_regclass(format('scooters_router.%I', name || '_' || shard)) is not null;
        execute format(
            'create foreign table scooters_router.%I %s server %I'
            ' options (schema_name ''scooters_ops'', table_name %L)',
            name || '_' || shard,
            case
                when route = 'mission'
                    then format(
                        'partition of scooters_router.%I'
                        ' for values with (modulus %s, remainder %s)',
                        name, shard_count, shard
                    )
                else format('(%s)', columns)
            end,
            'shard_' || shard,
            name
        );
    end loop;
    perform scooters_router.add_columns(definition, route);
    -- Whole rows, so that a shard of another version may have other columns.
    if route = 'all' then
        execute format(
            'create or replace function scooters_router.%I(in_shard integer)'
            ' returns setof jsonb language plproxy as %L',
            'rows_of_' || name,
            format(
                'cluster scooters_router.cluster_of(in_shard); run on 0;'
                ' select to_jsonb(asked) as content from scooters_ops.%I as asked;',
                name
            )
        );
        execute format(
            'revoke execute on function scooters_router.%I(integer) from public',
            'rows_of_' || name
        );
    end if;

    if route = 'mission' then
        execute format(
            'create or replace view scooters_ops.%1$I as select %2$s from scooters_router.%1$I',
            name, names
        );
    else
        execute format(
            'create or replace view scooters_ops.%I as %s',
            name,
            format(
                'select %s from (%s) as merged',
                names,
                replace(
                    coalesce(merge, format('select distinct %s from {}', names)),
                    '{}',
                    format(
                        '(select asked.shard_name, filled.*'
                        ' from scooters_router.rows_of(%L) as asked'
                        ' cross join lateral'
                        ' jsonb_populate_record(null::scooters_router.%I, asked.content)'
                        ' as filled) as rows',
                        name, name || '_0'
                    )
                )
            )
        );
    end if;
end
$$;

comment on function scooters_router.build_view(jsonb, text, text) is
'Makes or updates a public view of the router.';

revoke execute on function scooters_router.build_view(jsonb, text, text) from public;
