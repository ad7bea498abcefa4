-- What is in each table? psql -X -q -f sql/maintenance/table_checksums.sql
-- Two databases with the same answer hold the same rows, whatever order they lie in.
-- `make move` compares a shard with its copy. It reads every row, and each row's text:
-- call it with the same TimeZone, DateStyle, IntervalStyle and extra_float_digits.
with tables as (
    select
        relation.relname as name,
        case relation.relkind
            when 'S'
                then format(
                    'select last_value as rows, is_called::integer as checksum from %s',
                    relation.oid::regclass
                )
            else format(
                'select count(*) as rows,'
                || ' coalesce(sum(hashtextextended(entry::text, 0)), 0) as checksum'
                || ' from only %s as entry',
                relation.oid::regclass
            )
        end as question
    from pg_catalog.pg_class as relation
    where
        relation.relnamespace = 'scooters_ops'::regnamespace
        and relation.relkind in ('r', 'S')
)

select
    tables.name,
    (xpath('/row/rows/text()', answer.content))[1]::text::bigint as rows,
    (xpath('/row/checksum/text()', answer.content))[1]::text::numeric as checksum
from tables
cross join lateral query_to_xml(tables.question, false, true, '') as answer (content)
order by tables.name;
