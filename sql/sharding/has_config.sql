-- Is this the shard's part of the router's config?
-- The defaults are those of the shard's version: an older one may have applied the
-- router's config, and knew fewer settings.
create or replace function scooters_router.has_config(
    in_shard integer,
    config jsonb,
    part jsonb
)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    return part = scooters_router.divided_config(
        scooters_router.checked_config(in_shard, config)
    );
exception
    -- The shard's version does not know all its settings.
    when invalid_parameter_value then
        return false;
end
$$;

comment on function scooters_router.has_config(integer, jsonb, jsonb) is
'Whether a shard''s config, part, is its part of the router''s config.';

revoke execute on function scooters_router.has_config(integer, jsonb, jsonb)
from public;
