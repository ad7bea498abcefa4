-- Which message does a follow-up change or answer?
-- What earlier versions sent has no key and no chat of its own.
create or replace function scooters_ops.earlier_message(recipient_id bigint)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
select jsonb_build_object(
    'key', coalesce(earlier.idempotency_key, notification.idempotency_token),
    'reference', earlier.reference,
    'address', coalesce(earlier.sent_to, earlier.address)
)
from scooters_ops.notification_recipients as earlier
inner join scooters_ops.monitoring_notifications as notification
    on earlier.notification_id = notification.notification_id
where earlier.recipient_id = earlier_message.recipient_id;
end; -- noqa: enable=all

comment on function scooters_ops.earlier_message(bigint) is
'The message of this recipient as its channel knows it: {key: its idempotency key, reference: id of the message or key of the ticket, null if a person found that it had arrived, address: the chat or queue that has it}.';

revoke execute on function scooters_ops.earlier_message(bigint) from public;
