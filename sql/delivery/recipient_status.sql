-- How many messages of each chat and queue wait, are retried, failed or need a person?
create or replace view scooters_ops.recipient_status as
select
    channel,
    address,
    state,
    count(*) as recipients,
    min(created_at) as oldest_created_at,
    min(next_attempt_at) as next_attempt_at,
    max(last_error) as sample_error,
    bool_or(is_one_of_many) as is_lower_bound
from scooters_ops.unsent_recipients
group by channel, address, state;

comment on view scooters_ops.recipient_status is
'How many recipients are not sent yet, by channel, address and state. It counts the rows of unsent_recipients, so that it stays cheap, however many messages wait.';
comment on column scooters_ops.recipient_status.channel is
'The channel.';
comment on column scooters_ops.recipient_status.address is
'The chat or queue.';
comment on column scooters_ops.recipient_status.state is
'pending, scheduled, silenced, retrying, blocked, sending, failed or in_doubt, as in unsent_recipients.';
comment on column scooters_ops.recipient_status.recipients is
'How many messages or tickets for it are in that state (a count); if is_lower_bound, there may be more.';
comment on column scooters_ops.recipient_status.oldest_created_at is
'When the oldest of those counted was created.';
comment on column scooters_ops.recipient_status.next_attempt_at is
'When the next of them is due; sending: when the next lease ends.';
comment on column scooters_ops.recipient_status.sample_error is
'The last error of one of those counted.';
comment on column scooters_ops.recipient_status.is_lower_bound is
'Whether the channel has counting_limit() or more of that kind, so that not all were counted.';

grant select on scooters_ops.recipient_status
to scooters_ops_analyst, scooters_ops_notifier;
