-- How many rows of a kind do the status views read at most?
-- The limit keeps them cheap, however many messages wait.
create or replace function scooters_ops.counting_limit()
returns bigint
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select 10000::bigint;
end; -- noqa: enable=all

comment on function scooters_ops.counting_limit() is
'How many rows of a kind delivery_status and recipient_status count at most; where they reach it, is_lower_bound is true.';

revoke execute on function scooters_ops.counting_limit() from public;
grant execute on function scooters_ops.counting_limit()
to scooters_ops_analyst, scooters_ops_notifier;
