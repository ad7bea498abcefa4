-- How do channels, addresses and states compare? Byte by byte, like every identifier.
-- By the rules of a locale, an index goes wrong when the system's locales are upgraded,
-- and a walk along it skips rows. No row is rewritten. What leasing needs is indexed
-- here, the rest by the next migration, so that notifiers wait twice for a moment and
-- not once for two. Writers of missions and events use none of these tables.

lock table only scooters_ops.delivery_targets in access exclusive mode;
lock table only scooters_ops.notification_recipients in access exclusive mode;

drop index scooters_ops.notification_recipients_due_idx;
drop index scooters_ops.notification_recipients_attention_idx;
drop index scooters_ops.notification_recipients_waiting_idx;
drop index scooters_ops.notification_recipients_sending_idx;

-- A column cannot change while a view reads it, and a view's columns cannot change at
-- all: each of these views, whoever made it, reads nothing for this moment, and then
-- what it read before.
do $migration$
declare
    reading_views jsonb;
    reading jsonb;
begin
    select jsonb_agg(to_jsonb(view))
    into reading_views
    from (
        select
            described.oid::regclass::text as name,
            coalesce(
                'with (' || array_to_string(described.reloptions, ', ') || ')', ''
            ) as options,
            rtrim(pg_get_viewdef(described.oid), ';') as definition,
            string_agg(
                format('null::%s as %I', view_column.type, view_column.name),
                ', ' order by view_column.position
            ) as nulls,
            string_agg(
                format('reading.%I%s', view_column.name, view_column.collation_clause),
                ', ' order by view_column.position
            ) as columns
        from pg_catalog.pg_class as described
        cross join lateral (
            select
                attribute.attname as name,
                attribute.attnum as position,
                named.collation_clause,
                format_type(attribute.atttypid, attribute.atttypmod)
                || named.collation_clause as type
            from pg_catalog.pg_attribute as attribute
            cross join lateral (
                select
                    coalesce(
                        (
                            select format(' collate %I.%I', nspname, collname)
                            from pg_catalog.pg_collation
                            inner join pg_catalog.pg_namespace
                                on pg_collation.collnamespace = pg_namespace.oid
                            where pg_collation.oid = attribute.attcollation
                        ),
                        ''
                    ) as collation_clause
            ) as named
            where attribute.attrelid = described.oid and attribute.attnum > 0
        ) as view_column
        where
            described.relkind = 'v'
            and described.oid in (
                select rule.ev_class
                from pg_catalog.pg_depend as dependency
                inner join pg_catalog.pg_rewrite as rule
                    on
                        dependency.classid = 'pg_catalog.pg_rewrite'::regclass
                        and dependency.objid = rule.oid
                inner join pg_catalog.pg_attribute as attribute
                    on
                        dependency.refobjid = attribute.attrelid
                        and dependency.refobjsubid = attribute.attnum
                where
                    dependency.refclassid = 'pg_catalog.pg_class'::regclass
                    and dependency.refobjid in (
                        'scooters_ops.notification_recipients'::regclass,
                        'scooters_ops.delivery_targets'::regclass
                    )
                    and attribute.attname in ('channel', 'state', 'address')
            )
        group by described.oid, described.reloptions
    ) as view;

    for reading in select jsonb_array_elements(reading_views)
    loop
        execute format(
            'create or replace view %s %s as select %s',
            reading ->> 'name',
            reading ->> 'options',
            reading ->> 'nulls'
        );
    end loop;

    -- The constraints hold already; the next migration checks that once more.
    alter table scooters_ops.notification_recipients
    drop constraint notification_recipients_state_check,
    drop constraint notification_recipients_lease_check,
    drop constraint notification_recipients_sent_at_check;

    alter table scooters_ops.notification_recipients
    alter column channel type text collate "C",
    alter column state type text collate "C",
    alter column address type text collate "C",
    add constraint notification_recipients_state_check
    check (state in ('pending', 'sending', 'sent', 'failed', 'in_doubt')) not valid,
    add constraint notification_recipients_lease_check
    check ((state = 'sending') = (leased_by is not null)) not valid,
    add constraint notification_recipients_sent_at_check
    check ((state = 'sent') = (sent_at is not null)) not valid;

    alter table scooters_ops.delivery_targets
    alter column channel type text collate "C",
    alter column address type text collate "C";

    for reading in select jsonb_array_elements(reading_views)
    loop
        execute format(
            'create or replace view %s %s as select %s from (%s) as reading',
            reading ->> 'name',
            reading ->> 'options',
            reading ->> 'columns',
            reading ->> 'definition'
        );
    end loop;
    -- The one function that would fail until sql/ is installed: a recursion must begin
    -- with the collation with which it goes on.
    for reading in
        select to_jsonb(pg_get_functiondef(oid))
        from pg_catalog.pg_proc
        where oid = to_regprocedure('scooters_ops.delivery_queue(text, jsonb)')
    loop
        execute replace(
            reading #>> '{}', $$'' as address$$, $$'' collate "C" as address$$
        );
    end loop;
end
$migration$;

create index notification_recipients_waiting_idx
on scooters_ops.notification_recipients (channel, address, next_attempt_at)
where state in ('pending', 'sending');

create index notification_recipients_sending_idx
on scooters_ops.notification_recipients (channel, address, next_attempt_at)
where state = 'sending';

-- The keys of yoyo's own tables.
alter table scooters_ops._yoyo_migration
alter column migration_hash type varchar(64) collate "C";

alter table scooters_ops._yoyo_log
alter column id type varchar(36) collate "C";
