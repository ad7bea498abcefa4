-- What has become of the messages of a test?
create or replace function scooters_ops.test_results(token text)
returns table (
    recipient_id bigint,
    channel text,
    target jsonb,
    state text,
    attempts integer,
    error text,
    reference text
)
language sql stable
security definer
set search_path = pg_catalog, pg_temp
as $$
select
    recipient.recipient_id,
    recipient.channel,
    recipient.target,
    scooters_ops.delivery_state(
        recipient.state, recipient.is_blocked, recipient.attempts
    ) as state,
    recipient.attempts,
    coalesce(recipient.last_error, hold.reason) as error,
    recipient.reference
from scooters_ops.monitoring_notifications as notification
inner join scooters_ops.notification_recipients as recipient using (notification_id)
left join lateral (
    select known.hold_reason as reason
    from scooters_ops.delivery_targets as known
    where
        known.channel = recipient.channel
        and known.address in ('', recipient.address)
        and known.held_until > now()
    order by known.held_until desc
    limit 1
) as hold on true
where
    notification.idempotency_token = test_results.token
    and notification.type = 'test'
order by recipient.recipient_id
$$;

comment on function scooters_ops.test_results(text) is
'Each recipient of the test with this token. state: pending, retrying, blocked (no message can be made of it until a person fixes something), sending, sent, failed or in_doubt; attempts: how often it was tried; error: why the last failed attempt failed, or why the channel, chat or queue is held; reference: id of the message, key of the ticket.';

revoke execute on function scooters_ops.test_results(text) from public;
grant execute on function scooters_ops.test_results(text)
to scooters_ops_notifier, scooters_ops_operator;
