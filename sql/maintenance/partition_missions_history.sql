-- How is missions_history partitioned by month?
-- psql -X -f sql/maintenance/partition_missions_history.sql, as the tables' owner.
-- The first run partitions the table; every run adds the months up to the third from
-- now. Run it each month, or more often if you like. If it ends with a lock timeout,
-- nothing has changed: run it again.
\set ON_ERROR_STOP on
\set QUIET on
set timezone = 'UTC';
set client_min_messages = warning;

select relkind = 'p' as is_partitioned
from pg_catalog.pg_class
where oid = 'scooters_ops.missions_history'::regclass
\gset

\if :is_partitioned
\else
\ir convert_missions_history.sql
\endif

-- Add the missing months, from the earliest existing one to the third from now. Rows of
-- such a month move into it from the default part.
begin;
set local lock_timeout = '500ms';

with months_there as (
    select
        to_timestamp(
            substring(part.relname, '[0-9]{4}_[0-9]{2}$'), 'YYYY_MM'
        ) as month
    from pg_catalog.pg_inherits as inheritance
    inner join pg_catalog.pg_class as part on inheritance.inhrelid = part.oid
    where inheritance.inhparent = 'scooters_ops.missions_history'::regclass
),

bounds as (
    select
        date_trunc('month', now()) + interval '3 months' as last_month,
        coalesce(min(month), date_trunc('month', now()) + interval '1 month')
            as first_month
    from months_there
),

months_wanted as (
    select generate_series(first_month, last_month, interval '1 month') as month
    from bounds
),

missing_months as (
    select
        month,
        format('missions_history_%s', to_char(month, 'YYYY_MM')) as part
    from months_wanted
    left join months_there using (month)
    where months_there.month is null
)

select
    format(
        'create table scooters_ops.%I'
        || ' (like scooters_ops.missions_history including constraints)',
        part
    ) as made,
    format(
        'with moved as ('
        || 'delete from scooters_ops.missions_history_default'
        || ' where occurred_at >= %L and occurred_at < %L returning *'
        || ') insert into scooters_ops.%I select * from moved',
        month,
        month + interval '1 month',
        part
    ) as filled,
    format(
        'alter table scooters_ops.missions_history'
        || ' attach partition scooters_ops.%I for values from (%L) to (%L)',
        part,
        month,
        month + interval '1 month'
    ) as attached,
    format(
        'comment on table scooters_ops.%I is %L',
        part,
        format('The part of missions_history with %s (UTC).', to_char(month, 'YYYY-MM'))
    ) as described
from missing_months
order by month
\gexec

commit;

-- Autovacuum analyzes the parts, but never the partitioned table itself.
analyze scooters_ops.missions_history;
