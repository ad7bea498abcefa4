-- Which channels are paused, and which chats and queues are on hold?
create or replace view scooters_ops.delivery_holds as
select
    channel collate "default" as channel,  -- noqa: RF02,RF03
    nullif(address, '') collate "default" as address,  -- noqa: RF02,RF03
    held_until,
    hold_reason as reason,
    failures,
    coalesce(
        address <> '' and held_until > now() + (
            select in_force.stuck_after
            from scooters_ops.config_in_force as in_force
        ),
        false
    ) as is_long
from scooters_ops.delivery_targets
where failures > 0 or held_until > now();

comment on view scooters_ops.delivery_holds is
'Channels that refused us as a whole, each until it accepts our credentials, and chats and queues that asked us to wait.';
comment on column scooters_ops.delivery_holds.channel is
'The channel.';
comment on column scooters_ops.delivery_holds.address is
'The chat or queue; null: the channel as a whole.';
comment on column scooters_ops.delivery_holds.held_until is
'When the hold ends; nothing is sent there before that.';
comment on column scooters_ops.delivery_holds.reason is
'What the channel said when it was held.';
comment on column scooters_ops.delivery_holds.failures is
'How often in a row the channel refused us as a whole (a count); 0 for chats and queues.';
comment on column scooters_ops.delivery_holds.is_long is
'Whether a chat or queue is held for more than notifier.stuck_after_seconds from now.';

grant select on scooters_ops.delivery_holds
to scooters_ops_analyst, scooters_ops_notifier;
