-- Does somebody say who he is?
create or replace function scooters_ops.require_name(by text, purpose text)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    longest_name constant integer := 200;
begin
    if by is null or by !~ '\S' then
        raise exception using
            errcode = 'null_value_not_allowed',
            message = 'by must not be empty: it says ' || purpose;
    elsif char_length(by) > longest_name then
        raise exception using
            errcode = 'string_data_right_truncation',
            message = format('by is longer than %s characters', longest_name);
    end if;
end
$$;

comment on function scooters_ops.require_name(text, text) is
'Refuses a name that is null, empty or too long; purpose: what the name says, for the error. SQLSTATE 22004: no name; 22001: the name is too long.';

revoke execute on function scooters_ops.require_name(text, text) from public;
