-- Which channels are paused, and which chats and queues are on hold?
create or replace view scooters_ops.delivery_holds as
select
    channel collate "default" as channel,  -- noqa: RF02,RF03
    nullif(address, '') collate "default" as address,  -- noqa: RF02,RF03
    held_until,
    hold_reason as reason,
    failures
from scooters_ops.delivery_targets
where failures > 0 or held_until > now();

comment on view scooters_ops.delivery_holds is
'Channels that refused us as a whole, until a message gets through, and the chats and queues that asked us to wait.';
comment on column scooters_ops.delivery_holds.channel is
'The channel.';
comment on column scooters_ops.delivery_holds.address is
'The chat or queue; null: the channel as a whole.';
comment on column scooters_ops.delivery_holds.held_until is
'When the hold ends: nothing is sent there before.';
comment on column scooters_ops.delivery_holds.reason is
'What the channel said.';
comment on column scooters_ops.delivery_holds.failures is
'How often in a row the channel refused us as a whole (a count); 0 for chats and queues.';

grant select on scooters_ops.delivery_holds
to scooters_ops_analyst, scooters_ops_notifier;
