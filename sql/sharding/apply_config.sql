-- What happens when a config is applied through the router?
-- It is validated; then each shard stores its part of it, one after the other. Where
-- one is away, nothing was stored in the router, and the error says so: applied again,
-- it reaches all of them.
create or replace function scooters_ops.apply_config(config jsonb)
returns bigint
language plpgsql
-- As its owner, whom the router's logins belong to.
security definer
set search_path = pg_catalog, pg_temp
-- PL/Proxy reports each new connection.
set client_min_messages = warning
as $$
declare
    missing constant text[] := scooters_router.missing_shards();
    checked jsonb;
    divided jsonb;
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

    -- The first question is whether the config is valid.
    for in_shard in
        select 0
        union all
        (select known.shard from scooters_router.shards as known order by known.shard)
    loop
        begin
            if checked is null then
                checked := scooters_router.checked_config(in_shard, config);
            else
                perform scooters_router.apply_config(in_shard, divided);
            end if;
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
        divided := coalesce(divided, scooters_router.divided_config(checked));
    end loop;

    select in_force.config_id
    into new_config_id
    from scooters_ops.config_in_force as in_force
    where in_force.config = checked;
    if new_config_id is null then
        insert into scooters_ops.configs (config)
        values (checked)
        returning config_id into new_config_id;
    end if;
    return new_config_id;
end
$$;

revoke execute on function scooters_ops.apply_config(jsonb) from public;
