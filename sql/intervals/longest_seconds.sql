-- How long may a duration be? Sums and products of etas end there, so that no
-- arithmetic overflows: from any event on it lasts until after the year 9999.
create or replace function scooters_ops.longest_seconds()
returns double precision
language sql immutable parallel safe
return 315576000000::double precision;

comment on function scooters_ops.longest_seconds() is
'The longest duration that intervals, etas and limits may have, in seconds: 10,000 years. What would be longer is this long.';

revoke execute on function scooters_ops.longest_seconds() from public;
grant execute on function scooters_ops.longest_seconds() to scooters_ops_analyst;
