-- Which columns have the views of a shard?
create or replace function scooters_router.shard_columns(in_shard integer)
returns jsonb
language plproxy
as $$
cluster scooters_router.cluster_of(in_shard);
run on 0;
select jsonb_object_agg(seen.name, seen.columns)
from (
    select class.relname as name, jsonb_agg(attribute.attname) as columns
    from pg_catalog.pg_class as class
    inner join pg_catalog.pg_attribute as attribute on attribute.attrelid = class.oid
    where
        class.relnamespace = 'scooters_ops'::regnamespace
        and class.relkind = 'v'
        and attribute.attnum > 0
        and not attribute.attisdropped
    group by class.relname
) as seen;
$$;

comment on function scooters_router.shard_columns(integer) is
'The columns of each view in one shard (JSON: view, list of columns).';

revoke execute on function scooters_router.shard_columns(integer) from public;
