-- What does one shard say to the press of a button?
-- Only shards' owners may call its press_button, and the router logs in as the owner.
create or replace function scooters_router.press_button(
    in_shard integer,
    channel text,
    press jsonb,
    out result text,
    out acknowledged_by text,
    out acknowledged_at timestamptz
)
language plproxy
as $$
cluster scooters_router.cluster_of(in_shard);
run on 0;
select pressed.result, pressed.acknowledged_by, pressed.acknowledged_at
from scooters_ops.press_button($2, $3) as pressed;
$$;

comment on function scooters_router.press_button(integer, text, jsonb) is
'Acknowledges in one shard what this press asks for; result: unknown if it is not about a notification of that shard, otherwise as in press_buttons.';

revoke execute on function scooters_router.press_button(integer, text, jsonb)
from public;
