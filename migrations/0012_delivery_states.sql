-- What else must delivery remember?
-- Of each recipient the idempotency key that its channel was given, and whether a
-- person must mend something before a message can be made of it; of each chat, queue
-- and channel what was leased last; of each notification whether no route matched it.

alter table scooters_ops.notification_recipients
add column idempotency_key text collate "C",
add column is_blocked boolean not null default false;

-- Until now the notification's token was the key. A ticket that was asked for under it
-- may exist although its answer was lost: it keeps that key.
update scooters_ops.notification_recipients as recipient
set idempotency_key = notification.idempotency_token
from scooters_ops.monitoring_notifications as notification
where
    recipient.notification_id = notification.notification_id
    and recipient.state in ('pending', 'sending', 'failed', 'in_doubt')
    and (
        recipient.state <> 'pending'
        or recipient.attempts > 0
        or recipient.last_error is not null
    );

alter table scooters_ops.delivery_targets
add column leased_at timestamptz,
add column leased_due_at timestamptz;

create table scooters_ops.unrouted_notifications (
    notification_id bigint not null,
    created_at timestamptz not null,
    constraint unrouted_notifications_pkey primary key (notification_id),
    constraint unrouted_notifications_notification_id_fkey
    foreign key (notification_id)
    references scooters_ops.monitoring_notifications on delete cascade
);
