-- transactional: false
-- Built while everybody works. It may be repeated after an attempt that failed.

drop index concurrently if exists
scooters_ops.notification_recipients_escalations_idx;

create index concurrently notification_recipients_escalations_idx
on scooters_ops.notification_recipients (channel, address, next_attempt_at)
where state in ('pending', 'sending') and step ~ '^escalation_';

drop index concurrently if exists scooters_ops.notification_recipients_silence_id_idx;

create index concurrently notification_recipients_silence_id_idx
on scooters_ops.notification_recipients (silence_id)
where silence_id is not null;

drop index concurrently if exists scooters_ops.notification_recipients_digest_id_idx;

create index concurrently notification_recipients_digest_id_idx
on scooters_ops.notification_recipients (digest_id)
where digest_id is not null;
