-- Who makes sure that passes and planning read the config in force?
-- Whoever stores, edits or deletes a config, be it a program of an earlier version or a
-- person, compiles the one that is in force then.
create or replace function scooters_ops.compile_stored_config()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform scooters_ops.compile_config();
    return null;
end
$$;

comment on function scooters_ops.compile_stored_config() is
'Trigger: calls compile_config() after the stored configs have changed.';

revoke execute on function scooters_ops.compile_stored_config() from public;

create or replace trigger compile_stored_config
after insert or delete or update of config on scooters_ops.configs
for each statement execute function scooters_ops.compile_stored_config();

-- A config that an earlier version stored is compiled once.
do $$
begin
    if
        (select config_id from scooters_ops.config_in_force)
        is distinct from (select config_id from scooters_ops.compiled_config)
    then
        perform scooters_ops.compile_config();
    end if;
end
$$;
