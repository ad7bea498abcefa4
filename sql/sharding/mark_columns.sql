-- Which columns of the router's views does a shard of an older version lack?
-- Such a column gets a remote name that says so, because the shard repeats the name in
-- its error. Called again after the shard was migrated, this undoes it. A shard that
-- gives no answer is left as it is.
create or replace function scooters_router.mark_columns()
returns void
language plpgsql
-- The logins to the shards are its owner's.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    known record;
    change record;
    found_columns jsonb;
begin
    for known in select * from scooters_router.shards
    loop
        begin
            found_columns := scooters_router.shard_columns(known.shard);
        exception when others then
            continue;
        end;
        for change in
            select
                attribute.attrelid::regclass as relation,
                attribute.attname as name,
                attribute.attfdwoptions is not null as is_marked
            from pg_class as class
            inner join pg_attribute as attribute on class.oid = attribute.attrelid
            inner join
                lateral (
                    select regexp_replace(class.relname, '_[0-9]+$', '') as view_name
                ) as source
                on found_columns ? source.view_name
            where
                class.relnamespace = 'scooters_router'::regnamespace
                and class.relkind = 'f'
                and class.relname = source.view_name || '_' || known.shard
                and attribute.attnum > 0
                and not attribute.attisdropped
                and (found_columns -> source.view_name ? attribute.attname)
                = (attribute.attfdwoptions is not null)
        loop
            if change.is_marked then
                execute format(
                    'alter foreign table %s alter column %I options (drop column_name)',
                    change.relation, change.name
                );
            else
                execute format(
                    'alter foreign table %s alter column %I options (add column_name %L)',
                    change.relation,
                    change.name,
                    left(
                        format(
                            '%s, missing in shard %s: make migrate', change.name, known.name
                        ),
                        63
                    )
                );
            end if;
        end loop;
    end loop;
end
$$;

comment on function scooters_router.mark_columns() is
'Lets the errors about columns that a shard lacks name the shard.';

revoke execute on function scooters_router.mark_columns() from public;
