-- Is this comment short enough to be read?
create or replace function scooters_ops.require_config_comment(comment text)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    longest_comment constant integer := 1000;
begin
    if char_length(comment) > longest_comment then
        raise exception using
            errcode = 'string_data_right_truncation',
            message = format('comment is longer than %s characters', longest_comment);
    end if;
end
$$;

comment on function scooters_ops.require_config_comment(text) is
'Refuses a comment of a config that is too long. SQLSTATE 22001: names the argument.';

revoke execute on function scooters_ops.require_config_comment(text) from public;
