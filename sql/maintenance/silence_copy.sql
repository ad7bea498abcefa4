-- How do you keep a copy of the database from sending messages?
-- psql -X -d scooters_copy -v copy=scooters_copy -f sql/maintenance/silence_copy.sql
-- You name the database twice, so that you do not silence production by mistake.
-- The script deletes everything that was still to be sent, and applies a config without
-- routes, whose channels point to a local port where nothing listens.
\set ON_ERROR_STOP on
\set QUIET on
set search_path = pg_catalog, pg_temp;

select :'copy' = current_database() as is_copy
\gset
\if :is_copy
\else
do $$
begin
    raise exception 'this is database "%", not the copy that you named', current_database();
end
$$;
\endif

begin;
delete from scooters_ops.monitoring_notifications
where not completed;

delete from scooters_ops.notification_recipients
where state not in ('sent', 'cancelled');

with channels as (
    select
        channel.name,
        (channel.settings - 'proxy' - 'proxy_auth_env')
        || '{"base_url": "http://127.0.0.1:9"}'::jsonb as settings
    from scooters_ops.config_in_force as in_force
    cross join jsonb_each(in_force.config -> 'channels') as channel (name, settings)
    where jsonb_typeof(channel.settings) = 'object'
)

select
    scooters_ops.apply_config(
        in_force.config
        || jsonb_build_object(
            'routes',
            '[]'::jsonb,
            'channels',
            (
                select jsonb_object_agg(channels.name, channels.settings)
                from channels
            )
        )
    ) as config_id
from scooters_ops.config_in_force as in_force
\gset
commit;
\echo 'Silenced by config' :config_id
