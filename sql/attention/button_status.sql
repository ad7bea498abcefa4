-- Which channels have buttons, and who asks for their presses?
create or replace view scooters_ops.button_status as
with channel_with_buttons as (
    select listed.key as name
    from scooters_ops.config_in_force as in_force
    cross join jsonb_each(in_force.config -> 'channels') as listed
    where listed.value ->> 'buttons' = 'true'
)

select
    channel_with_buttons.name as channel,
    poll.polled_by collate "default" as polled_by,  -- noqa: RF02,RF03
    poll.polled_until,
    coalesce(poll.polled_until > now(), false) as is_polled,
    poll.problem
from channel_with_buttons
left join scooters_ops.button_polls as poll
    on channel_with_buttons.name = poll.channel;

comment on view scooters_ops.button_status is
'The channels whose messages have buttons, by the config in force. One notifier at a time asks for their presses.';
comment on column scooters_ops.button_status.channel is
'The channel.';
comment on column scooters_ops.button_status.polled_by is
'The notifier that asks for presses, or did so last; null: none has.';
comment on column scooters_ops.button_status.polled_until is
'When its right to do so ends, unless it renews it.';
comment on column scooters_ops.button_status.is_polled is
'Whether a notifier has that right now.';
comment on column scooters_ops.button_status.problem is
'Why it does not get the presses; null: it does.';

grant select on scooters_ops.button_status
to scooters_ops_analyst, scooters_ops_notifier;
