-- Who was told of a notification so far?
create or replace function scooters_ops.told_before(notification_id bigint)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
select coalesce(
    jsonb_agg(
        jsonb_build_object(
            'channel', recipient.channel,
            'address', coalesce(recipient.sent_to, recipient.address),
            'reference', recipient.reference,
            'sent_at', recipient.sent_at
        )
        order by recipient.sent_at, recipient.recipient_id
    ),
    '[]'
)
from scooters_ops.notification_recipients as recipient
where
    recipient.notification_id = told_before.notification_id
    and recipient.state = 'sent'
    and recipient.step ~ '^(alert|escalation)';
end; -- noqa: enable=all

comment on function scooters_ops.told_before(bigint) is
'The alerts and escalations of this notification that were sent, in their order: an array of {channel, address, reference, sent_at}.';

revoke execute on function scooters_ops.told_before(bigint) from public;
