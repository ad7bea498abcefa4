-- Who may be sent to, and when?
-- What waits is kept apart by its address: the chat or queue by which a channel's
-- limits go. What is known of an address, and of a channel as a whole, has a table of
-- its own, shared by all notifiers.

alter table scooters_ops.notification_recipients
add column address text not null generated always as (
    coalesce(target ->> 'chat_id', target ->> 'queue', (target - 'type')::text)
) stored;

create index notification_recipients_waiting_idx
on scooters_ops.notification_recipients (channel, address, next_attempt_at)
where state in ('pending', 'sending');

create index notification_recipients_sending_idx
on scooters_ops.notification_recipients (channel, address, next_attempt_at)
where state = 'sending';

-- Never more rows are on their way than notifiers have slots: one index finds them all.
drop index scooters_ops.notification_recipients_leased_by_idx;

create table scooters_ops.delivery_targets (
    channel text not null,
    address text not null,
    granted_at timestamptz[] not null default '{}',
    held_until timestamptz,
    hold_reason text,
    failures int not null default 0,
    moved_to jsonb,
    moved_address text generated always as (
        coalesce(moved_to ->> 'chat_id', moved_to ->> 'queue', moved_to::text)
    ) stored,
    constraint delivery_targets_pkey primary key (address, channel)
);

-- The config in force knows the limits from now on, as if it had left the new key out
-- when it was applied.
with default_limits (channel, limits) as (
    values
    (
        'telegram',
        jsonb '{
            "per_channel": [{"messages": 30, "seconds": 1}],
            "per_target": [{"messages": 1, "seconds": 1}],
            "per_group": [{"messages": 20, "seconds": 60}],
            "in_flight_per_target": 10
        }'
    ),
    (
        'st',
        jsonb '{"per_channel": [], "per_target": [], "in_flight_per_target": 10}'
    )
),

configured as (
    select
        stored.config_id,
        jsonb_object_agg(
            channel.key,
            jsonb_build_object('limits', default_limits.limits) || channel.value
        ) as channels
    from scooters_ops.configs as stored
    cross join lateral jsonb_each(stored.config -> 'channels') as channel
    inner join default_limits on channel.key = default_limits.channel
    where jsonb_typeof(channel.value) = 'object'
    group by stored.config_id
)

update scooters_ops.configs as stored
set
    config = jsonb_set(
        stored.config,
        '{channels}',
        stored.config -> 'channels' || configured.channels
    )
from configured
where stored.config_id = configured.config_id;

insert into scooters_ops.delivery_targets (channel, address)
select distinct
    jsonb_object_keys(config -> 'channels') as channel,
    '' as address
from scooters_ops.configs;

-- What sql/ rebuilds cannot change a function's result.
drop function if exists scooters_ops.record_deliveries(text, jsonb);
