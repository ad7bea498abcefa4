-- How many messages may each channel send now?
-- A channel that refused us sends one message at a time, the probe, until the channel
-- accepts us. Messages in flight are counted only for such a channel.
create or replace view scooters_ops.delivery_channels as
with setting as (
    select
        configured.key as channel,
        nullif(configured.value -> 'limits', 'null') as limits
    from scooters_ops.config_in_force
    cross join lateral jsonb_each(config_in_force.config -> 'channels') as configured
    where jsonb_typeof(configured.value) = 'object'
),

channel as (
    select
        target.channel,
        target.granted_at,
        target.held_until,
        target.failures,
        setting.limits
    from scooters_ops.delivery_targets as target
    left join setting on target.channel = setting.channel
    where target.address = ''
)

select
    channel.channel collate "default" as channel,  -- noqa: RF02,RF03
    channel.held_until,
    channel.failures,
    allowance.opens_at,
    channel.limits,
    case
        when channel.failures = 0 then allowance.free
        else 1 - in_flight.messages
    end as free,
    channel.granted_at[cardinality(channel.granted_at)] as last_granted_at,
    follow_ups.opens_at as follow_ups_open_at,
    case
        when channel.failures = 0 then follow_ups.free
        else 1 - in_flight.messages
    end as free_for_follow_ups
from channel
inner join lateral scooters_ops.rate_limit_status(
    channel.granted_at, channel.limits -> 'per_channel'
) as allowance on true
inner join lateral scooters_ops.rate_limit_status(
    channel.granted_at,
    scooters_ops.follow_up_limits(channel.limits) -> 'per_channel'
) as follow_ups on true
cross join lateral (
    select count(*)::integer as messages
    from scooters_ops.notification_recipients as recipient
    where
        channel.failures > 0
        and recipient.channel = channel.channel
        and recipient.state = 'sending'
        and recipient.next_attempt_at > now()
) as in_flight;

comment on view scooters_ops.delivery_channels is
'How many messages all notifiers together may send now through each channel, by its limits in the config in force.';
comment on column scooters_ops.delivery_channels.channel is
'The channel.';
comment on column scooters_ops.delivery_channels.held_until is
'When the hold ends that follows a refusal of the channel as a whole; null or past: no hold.';
comment on column scooters_ops.delivery_channels.failures is
'How often in a row the channel refused us (a count); above 0: one message at a time, as a probe.';
comment on column scooters_ops.delivery_channels.opens_at is
'When its limits allow the next message; null: now.';
comment on column scooters_ops.delivery_channels.limits is
'The limits of the channel in the config in force (JSON object); null: none.';
comment on column scooters_ops.delivery_channels.free is
'How many more messages it may send now (a count); null: no limit.';
comment on column scooters_ops.delivery_channels.last_granted_at is
'When a message for it was last leased; null: never.';
comment on column scooters_ops.delivery_channels.follow_ups_open_at is
'When its limits allow the next message that changes or answers an earlier one; null: now. These may use half of each limit.';
comment on column scooters_ops.delivery_channels.free_for_follow_ups is
'How many more messages that change or answer an earlier one it may send now (a count); null: no limit.';

grant select on scooters_ops.delivery_channels
to scooters_ops_analyst, scooters_ops_notifier;
