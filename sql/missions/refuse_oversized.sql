-- What becomes of a row that is written to a table directly, and too large?
create or replace function scooters_ops.refuse_oversized()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception using
        errcode = 'invalid_parameter_value',
        message = format(
            'mission "%s": %s.%s %s',
            left(new.mission_id, 255),
            tg_table_name,
            tg_argv[0],
            tg_argv[1]
        );
end
$$;

comment on function scooters_ops.refuse_oversized() is
'Trigger: refuses the row, naming its mission, the column (first argument) and the bound (second argument). SQLSTATE 22023.';

revoke execute on function scooters_ops.refuse_oversized() from public;
