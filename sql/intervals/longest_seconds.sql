-- How long may a duration be?
-- Sums and products of etas are cut off here, so that no arithmetic overflows: counted
-- from any event, it ends after the year 9999.
create or replace function scooters_ops.longest_seconds()
returns double precision
language sql immutable parallel safe
return 315576000000::double precision;

comment on function scooters_ops.longest_seconds() is
'The longest duration of an interval, eta or limit, in seconds: 10,000 years. Anything longer is cut off there.';

revoke execute on function scooters_ops.longest_seconds() from public;
grant execute on function scooters_ops.longest_seconds() to scooters_ops_analyst;
