-- What may each channel send now, as a whole?
-- A channel that refused us is sent one message at a time until it accepts us, and
-- only then is what is in flight counted: the first after its hold is the probe.
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
    channel.granted_at[cardinality(channel.granted_at)] as last_granted_at
from channel
inner join lateral scooters_ops.send_allowance(
    channel.granted_at, channel.limits -> 'per_channel'
) as allowance on true
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
'What each channel may send now by its limits in the config in force, all notifiers together.';
comment on column scooters_ops.delivery_channels.channel is
'The channel.';
comment on column scooters_ops.delivery_channels.held_until is
'When the hold ends: the channel refused us. Null or past: it is not held.';
comment on column scooters_ops.delivery_channels.failures is
'How often in a row the channel refused us (a count); above 0 it is only probed.';
comment on column scooters_ops.delivery_channels.opens_at is
'When its limits allow the next message; null: now.';
comment on column scooters_ops.delivery_channels.limits is
'limits of the channel in the config in force (JSON object); null: none.';
comment on column scooters_ops.delivery_channels.free is
'How many messages it may send now (a count); null: no limit.';
comment on column scooters_ops.delivery_channels.last_granted_at is
'When a message of it was leased last; null: never.';

grant select on scooters_ops.delivery_channels
to scooters_ops_analyst, scooters_ops_notifier;
