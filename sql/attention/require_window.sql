-- Is this a window of time?
create or replace function scooters_ops.require_window(
    since timestamptz,
    until timestamptz
)
returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
    if since is null or until is null then
        raise exception using
            errcode = 'null_value_not_allowed',
            message = format(
                '%s must not be null', case when since is null then 'since' else 'until' end
            );
    elsif since >= until then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'since must be before until';
    end if;
    return true;
end
$$;

comment on function scooters_ops.require_window(timestamptz, timestamptz) is
'True for a window of time, from since, inclusive, until until, exclusive. SQLSTATE 22004 (null) and 22023: names the argument.';

revoke execute on function scooters_ops.require_window(timestamptz, timestamptz)
from public;
grant execute on function scooters_ops.require_window(timestamptz, timestamptz)
to scooters_ops_analyst;
