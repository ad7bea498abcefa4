-- What was left for later? The constraints of notification_recipients are checked for
-- the rows that were there, while everybody works; then the other two indexes are
-- built.

alter table scooters_ops.notification_recipients
validate constraint notification_recipients_state_check,
validate constraint notification_recipients_lease_check,
validate constraint notification_recipients_sent_at_check;

create index notification_recipients_due_idx
on scooters_ops.notification_recipients (channel, next_attempt_at)
where state in ('pending', 'sending');

create index notification_recipients_attention_idx
on scooters_ops.notification_recipients (channel, state)
where state in ('failed', 'in_doubt');
