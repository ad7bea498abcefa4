-- What happens when a config is applied through the router?
-- Each shard validates and stores its part of it, one after the other. Where one refuses
-- or is away, nothing was stored in the router, and the error says so: applied again, it
-- reaches all of them.
create or replace function scooters_ops.apply_config(config jsonb)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    missing constant text[] := scooters_router.missing_shards();
    divided constant jsonb := scooters_router.divided_config(config);
    in_shard integer;
    error_code text;
    error_message text;
    error_detail text;
    error_hint text;
    new_config_id bigint;
begin
    if missing <> '{}' then
        raise exception using
            errcode = 'connection_failure',
            message = format(
                'no answer from %s: the config was applied nowhere',
                array_to_string(missing, ', ')
            );
    end if;
    for in_shard in select known.shard from scooters_router.shards as known order by 1
    loop
        begin
            perform scooters_router.apply_config(in_shard, divided);
        exception when others then
            get stacked diagnostics
                error_code = returned_sqlstate,
                error_message = message_text,
                error_detail = pg_exception_detail,
                error_hint = pg_exception_hint;
            perform scooters_router.answer_as_ours(
                in_shard, error_code, error_message, error_detail, error_hint
            );
        end;
    end loop;

    select in_force.config_id
    into new_config_id
    from scooters_ops.configs as in_force
    where in_force.config = apply_config.config
    and in_force.config_id = (select max(latest.config_id) from scooters_ops.configs as latest);
    if new_config_id is null then
        insert into scooters_ops.configs (config)
        values (config)
        returning config_id into new_config_id;
    end if;
    return new_config_id;
end
$$;

revoke execute on function scooters_ops.apply_config(jsonb) from public;
