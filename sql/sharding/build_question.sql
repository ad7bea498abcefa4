-- How is one shard asked for what this function says?
-- By a function of PL/Proxy in scooters_router, whose first argument is the shard's
-- number. definition: as definitions.sql says.
create or replace function scooters_router.build_question(definition jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    name constant text := definition ->> 'name';
    arguments constant text := definition ->> 'arguments';
    result constant text := definition ->> 'result';
    is_set constant boolean := definition ->> 'is_set';
    parameter_count constant integer := jsonb_array_length(
        coalesce(nullif(definition -> 'parameters', 'null'), '[]')
    );
begin
    execute format(
        'create or replace function scooters_router.%I(in_shard integer%s) returns %s'
        ' language plproxy as %L',
        name,
        ', ' || nullif(arguments, ''),
        result,
        format(
            'cluster scooters_router.cluster_of(in_shard); run on 0; select %s scooters_ops.%I(%s);',
            case when is_set then '* from' else '' end,
            name,
            (
                select string_agg('$' || place.n + 1, ', ' order by place.n)
                from generate_series(1, parameter_count) as place (n)
            )
        )
    );
    execute format(
        'revoke execute on function scooters_router.%I(integer%s) from public',
        name,
        ', ' || nullif(definition ->> 'types', '')
    );
end
$$;

comment on function scooters_router.build_question(jsonb) is
'Makes or updates the function that asks one shard.';

revoke execute on function scooters_router.build_question(jsonb) from public;
