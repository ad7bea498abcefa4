-- What happens when a config is applied through the router?
-- It is validated; then each shard stores its part of it, one after the other. Where
-- one is away, nothing was stored in the router, and the error says so: applied again,
-- it reaches all of them.
-- Shards number configs by themselves, so the router alone knows which one was
-- expected; each shard stores the comment.

-- An earlier version's has fewer arguments.
drop function if exists scooters_ops.apply_config(jsonb);
drop function if exists scooters_router.apply_config(integer, jsonb);

create or replace function scooters_ops.apply_config(
    config jsonb,
    comment text default null,
    expected_config_id bigint default null
)
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
    -- Those who apply configs take turns.
    lock table scooters_ops.configs in share row exclusive mode;
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
                perform scooters_router.apply_config(in_shard, divided, comment, null);
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
        if divided is null then
            divided := scooters_router.divided_config(checked);
            if
                not exists (
                    select
                    from scooters_ops.config_in_force as in_force
                    where in_force.config = checked
                )
            then
                perform scooters_ops.require_config_in_force(expected_config_id);
            end if;
        end if;
    end loop;

    select in_force.config_id
    into new_config_id
    from scooters_ops.config_in_force as in_force
    where in_force.config = checked;
    if new_config_id is null then
        insert into scooters_ops.configs (config, comment)
        values (checked, nullif(btrim(comment), ''))
        returning config_id into new_config_id;
    end if;
    return new_config_id;
end
$$;

revoke execute on function scooters_ops.apply_config(jsonb, text, bigint) from public;
