-- Does the config in force have this channel?
create or replace function scooters_ops.is_configured(channel text)
returns boolean
language sql stable
begin atomic -- noqa: disable=all
select coalesce(
    bool_or(
        jsonb_typeof(in_force.config -> 'channels' -> is_configured.channel) = 'object'
    ),
    false
)
from scooters_ops.config_in_force as in_force;
end; -- noqa: enable=all

comment on function scooters_ops.is_configured(text) is
'Whether the config in force has this channel.';

revoke execute on function scooters_ops.is_configured(text) from public;
