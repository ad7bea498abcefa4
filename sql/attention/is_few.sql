-- Are these too few intervals to rely on?
create or replace function scooters_ops.is_few(intervals bigint)
returns boolean
language sql immutable parallel safe
return intervals < 30;

comment on function scooters_ops.is_few(bigint) is
'Whether an answer that rests on so many intervals is little more than chance: fewer than 30.';

revoke execute on function scooters_ops.is_few(bigint) from public;
grant execute on function scooters_ops.is_few(bigint) to scooters_ops_analyst;
