-- Gives a foreign server or a user mapping exactly these options.
create or replace function scooters_router.set_options(
    object text,
    before text[],
    after jsonb
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    changes text;
begin
    with known as (
        select
            split_part(option, '=', 1) as name,
            substring(option from position('=' in option) + 1) as value
        from unnest(before) as option
    )

    select
        string_agg(
            case
                when wanted.key is null then format('drop %I', known.name)
                when known.name is null then format('add %I %L', wanted.key, wanted.value)
                else format('set %I %L', wanted.key, wanted.value)
            end,
            ', '
        )
    into changes
    from known
    full join jsonb_each_text(after) as wanted on known.name = wanted.key
    where known.value is distinct from wanted.value;

    if changes is not null then
        execute format('alter %s options (%s)', object, changes);
    end if;
end
$$;

comment on function scooters_router.set_options(text, text[], jsonb) is
'Changes the options of a foreign server or a user mapping from those before to those after.';

revoke execute on function scooters_router.set_options(text, text[], jsonb) from public;
