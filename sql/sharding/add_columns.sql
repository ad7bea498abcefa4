-- Which columns has a newer version appended to this view?
-- They are added to the tables behind it. A shard of the older version has no such
-- column: asking for it fails there until that shard is upgraded too.
create or replace function scooters_router.add_columns(definition jsonb, route text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    added record;
begin
    for added in
        select
            relation.oid::regclass as relation,
            part.value ->> 'name' as name,
            part.value ->> 'type' as type
        from jsonb_array_elements(definition -> 'columns') with ordinality as part (value, n)
        inner join pg_class as relation
            on
                relation.relnamespace = 'scooters_router'::regnamespace
                and case
                    when route = 'mission' then relation.relname = definition ->> 'name'
                    else
                        relation.relname
                        ~ ('^' || (definition ->> 'name') || '_[0-9]+$')
                end
        where
            not exists (
                select
                from pg_attribute as attribute
                where
                    attribute.attrelid = relation.oid
                    and attribute.attname = part.value ->> 'name'
                    and not attribute.attisdropped
            )
        order by part.n
    loop
        execute format(
            'alter table %s add column %I %s%s',
            added.relation,
            added.name,
            added.type,
            case added.type when 'text' then ' collate "C"' else '' end
        );
    end loop;
end
$$;

comment on function scooters_router.add_columns(jsonb, text) is
'Adds the columns that a newer version''s view has to the tables behind it.';

revoke execute on function scooters_router.add_columns(jsonb, text) from public;
