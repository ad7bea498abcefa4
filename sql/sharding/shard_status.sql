-- Does each shard answer, of which version is it, and has it the router's config?
create or replace function scooters_router.shard_status()
returns table (
    shard integer,
    name text,
    is_up boolean,
    reason text,
    missing_migration text,
    newer_migration text,
    is_config_ours boolean,
    lacked_columns text[]
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = 'warning'
as $$
#variable_conflict use_column
declare
    ours constant text[] := array(
        select known.migration_id from scooters_router.applied_migrations as known
    );
    config constant jsonb := (
        select in_force.config
        from scooters_ops.configs as in_force
        order by in_force.config_id desc
        limit 1
    );
    facts jsonb;
    theirs text[];
begin
    for shard, name, lacked_columns in
        select
            known.shard,
            known.name,
            array(
                select format(
                    '%s.%s',
                    regexp_replace(class.relname, '_[0-9]+$', ''),
                    attribute.attname
                )
                from pg_class as class
                inner join pg_attribute as attribute on class.oid = attribute.attrelid
                where
                    class.relnamespace = 'scooters_router'::regnamespace
                    and class.relkind = 'f'
                    and class.relname ~ ('_' || known.shard || '$')
                    and attribute.attfdwoptions is not null
                order by 1
            )
        from scooters_router.shards as known
        order by known.shard
    loop
        is_up := true;
        reason := null;
        missing_migration := null;
        newer_migration := null;
        is_config_ours := null;
        begin
            facts := scooters_router.shard_facts(shard);
            theirs := array(select jsonb_array_elements_text(facts -> 'migrations'));
            missing_migration := (
                select min(migration_id collate "C")
                from unnest(ours) as migration_id
                where migration_id <> all(theirs)
            );
            newer_migration := (
                select max(migration_id collate "C")
                from unnest(theirs) as migration_id
                where migration_id <> all(ours)
            );
            if config is not null then
                is_config_ours := scooters_router.has_config(shard, config, facts -> 'config');
            end if;
        exception when others then
            is_up := false;
            reason := regexp_replace(sqlerrm, '^PL/Proxy function [^:]*: ', '');
            reason := btrim(regexp_replace(reason, '\s+', ' ', 'g'));
        end;
        return next;
    end loop;
end
$$;

comment on function scooters_router.shard_status() is
'Asks each shard how it is; see the view scooters_ops.shard_status.';

revoke execute on function scooters_router.shard_status() from public;
-- For the views that call it, as rows_of().
grant execute on function scooters_router.shard_status()
to scooters_ops_analyst, scooters_ops_notifier;

create or replace view scooters_ops.shard_status as
select
    asked.shard,
    asked.name,
    asked.is_up,
    asked.reason,
    asked.missing_migration,
    asked.newer_migration,
    asked.is_config_ours,
    asked.lacked_columns
from scooters_router.shard_status() as asked;

comment on view scooters_ops.shard_status is
'The shards of this router: whether each answers, is of the router''s version and has its config. Only routers have this view.';
comment on column scooters_ops.shard_status.shard is
'Its number, from 0 (a number).';
comment on column scooters_ops.shard_status.name is
'Its database and server, as messages name it.';
comment on column scooters_ops.shard_status.is_up is
'Whether it answers.';
comment on column scooters_ops.shard_status.reason is
'Why it does not answer; null: it does.';
comment on column scooters_ops.shard_status.missing_migration is
'The first migration of the router''s version that it lacks; null: none, or no answer.';
comment on column scooters_ops.shard_status.newer_migration is
'Its last migration that the router''s version does not know; null: none, or no answer.';
comment on column scooters_ops.shard_status.is_config_ours is
'Whether its config is its part of the router''s; null: no answer, or no config.';
comment on column scooters_ops.shard_status.lacked_columns is
'Columns of the router''s views (an array of text) that it lacked when the router was last brought up to date: asking it for one is an error.';

grant select on scooters_ops.shard_status
to scooters_ops_analyst, scooters_ops_notifier;
