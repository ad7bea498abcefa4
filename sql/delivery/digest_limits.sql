-- Above how many waiting alerts does each channel send them as one message?
create or replace function scooters_ops.digest_limits()
returns table (channel text, digest_above integer)
language sql stable
begin atomic -- noqa: disable=all
select
    configured.key,
    (configured.value ->> 'digest_above')::integer
from scooters_ops.config_in_force as in_force
cross join lateral jsonb_each(in_force.config -> 'channels') as configured
where
    jsonb_typeof(configured.value) = 'object'
    and configured.value ->> 'digest_above' is not null;
end; -- noqa: enable=all

comment on function scooters_ops.digest_limits() is
'The channels of the config in force that send digests: digest_above, as in channels.X.digest_above (a count).';

revoke execute on function scooters_ops.digest_limits() from public;
