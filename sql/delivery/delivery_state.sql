-- Which state of a recipient do the status views and the board show?
create or replace function scooters_ops.delivery_state(
    state text,
    is_blocked boolean,
    attempts integer
)
returns text
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select case
    when state = 'pending' and is_blocked then 'blocked'
    when state = 'pending' and attempts > 0 then 'retrying'
    else state
end;
end; -- noqa: enable=all

comment on function scooters_ops.delivery_state(text, boolean, integer) is
'The state of a recipient as the status views and the board show it: blocked (pending, and no message can be made of it until a person fixes something), retrying (pending, and tried before), or the state itself.';

revoke execute on function scooters_ops.delivery_state(text, boolean, integer)
from public;
grant execute on function scooters_ops.delivery_state(text, boolean, integer)
to scooters_ops_analyst, scooters_ops_notifier;
