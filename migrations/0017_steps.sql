-- What follows the first message? A recipient has one row for each step: the alert,
-- escalations, reminders, and what is said later about a message that was sent. No row
-- is read or rewritten, apart from the configs.

alter table scooters_ops.notification_recipients
add column step text collate "C" not null default 'alert',
-- The row whose message this one changes or answers; null: a message of its own.
add column follows bigint,
-- What the message said of its notification when it was leased.
add column shows text collate "C",
-- The chat that has the message, if the channel names it.
add column sent_to text,
drop constraint notification_recipients_state_check,
add constraint notification_recipients_state_check
check (
    state in (
        'pending', 'waiting', 'sending', 'sent', 'failed', 'in_doubt', 'cancelled'
    )
) not valid,
add constraint notification_recipients_step_check
check (
    step ~ '^(alert|(escalation|reminder)_[1-9][0-9]*|(resolved|acknowledged)(_.+)?)$'
) not valid,
add constraint notification_recipients_shows_check
check (shows in ('acknowledged', 'resolved')) not valid;

alter table scooters_ops.monitoring_notifications
add column finished_at timestamptz,
add column acknowledged_at timestamptz,
add column acknowledged_by text collate "C",
add constraint monitoring_notifications_acknowledged_at_check
check ((acknowledged_at is null) = (acknowledged_by is null)) not valid;

-- Of notifications that were there before, only what ends from now on is followed up.
alter table scooters_ops.news_horizon
add column followed_after_id bigint not null default 0,
add column followed_since timestamptz not null default now();

update scooters_ops.news_horizon
set
    followed_after_id = coalesce(
        (select max(notification_id) from scooters_ops.monitoring_notifications), 0
    );

-- For notifier test. Routes, reports and metrics leave it out.
alter type scooters_ops.monitoring_notification_type add value if not exists 'test';

-- Who reads the presses of buttons, and from where on?
create table scooters_ops.button_polls (
    channel text collate "C" not null,
    polled_by text collate "C",
    polled_until timestamptz not null default '-infinity',
    next_update_id bigint not null default 0,
    problem text,
    constraint button_polls_pkey primary key (channel)
);

-- The configs know the new keys from now on, as if they had left them out when they
-- were applied.
update scooters_ops.configs as stored
set
    config = stored.config || jsonb_build_object(
        'routes', (
            select
                coalesce(
                    jsonb_agg(jsonb '{"escalate": []}' || route.value order by route.n),
                    '[]'
                )
            from
                jsonb_array_elements(stored.config -> 'routes')
                with ordinality as route (value, n)
        ),
        'channels', (
            select
                coalesce(
                    jsonb_object_agg(
                        channel.key,
                        case
                            when jsonb_typeof(channel.value) = 'object'
                                then coalesce(new_keys.defaults, '{}') || channel.value
                            else channel.value
                        end
                    ),
                    '{}'
                )
            from jsonb_each(stored.config -> 'channels') as channel
            left join (
                values
                ('telegram', jsonb '{"on_resolved": "edit", "buttons": false}'),
                (
                    'st',
                    jsonb '{
                        "on_resolved": "comment",
                        "close_resolution": "fixed",
                        "close_assigned": false
                    }'
                )
            ) as new_keys (channel, defaults) on channel.key = new_keys.channel
        )
    );
