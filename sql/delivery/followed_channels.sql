-- Which channels does the config have, and do their messages show how things ended?
create or replace function scooters_ops.followed_channels()
returns table (channel text, shows_resolved boolean)
language sql stable
begin atomic -- noqa: disable=all
select
    configured.key,
    coalesce(configured.value ->> 'on_resolved' <> 'nothing', true)
from scooters_ops.config_in_force as in_force
cross join lateral jsonb_each(in_force.config -> 'channels') as configured
where jsonb_typeof(configured.value) = 'object';
end; -- noqa: enable=all

comment on function scooters_ops.followed_channels() is
'The channels of the config in force. shows_resolved: whether their messages show how things ended, because channels.X.on_resolved is not "nothing".';

revoke execute on function scooters_ops.followed_channels() from public;
