-- Would this config be accepted through the router?
create or replace function scooters_ops.check_config(config jsonb)
returns jsonb
language plpgsql stable
security definer
set search_path = pg_catalog, pg_temp
-- PL/Proxy reports each new connection.
set client_min_messages = warning
as $$
declare
    first_shard constant integer := 0;
    checked jsonb;
    error_code text;
    error_message text;
    error_detail text;
    error_hint text;
begin
    begin
        checked := scooters_router.check_config(first_shard, config);
    exception when others then
        get stacked diagnostics
            error_code = returned_sqlstate,
            error_message = message_text,
            error_detail = pg_exception_detail,
            error_hint = pg_exception_hint;
        perform scooters_router.answer_as_ours(
            first_shard, error_code, error_message, error_detail, error_hint
        );
    end;
    perform scooters_router.divided_config(checked);
    return checked;
end
$$;

revoke execute on function scooters_ops.check_config(jsonb) from public;
