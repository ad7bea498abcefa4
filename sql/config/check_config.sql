-- Would this config be accepted, and what is it with the defaults filled in?
create or replace function scooters_ops.check_config(config jsonb)
returns jsonb
language plpgsql stable
-- The schema and what else a config is checked against are its owner's.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    checked constant jsonb := scooters_ops.checked_config(config);
    problem constant text := scooters_ops.time_zone_problem(checked);
begin
    if problem is not null then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = problem;
    end if;
    return checked;
end
$$;

comment on function scooters_ops.check_config(jsonb) is
'The config with the defaults filled in, as apply_config would store it, after the same checks; it changes nothing. SQLSTATE 22023: names the path of the first bad key.';

revoke execute on function scooters_ops.check_config(jsonb) from public;
grant execute on function scooters_ops.check_config(jsonb) to scooters_ops_analyst;
