-- What was noticed, and in which state is each recipient? Newest first.
create or replace function scooters_ops.board_notifications(notification_ids bigint[])
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
select coalesce(
    jsonb_agg(
        jsonb_build_object(
            'token', notification.idempotency_token,
            'type', notification.type,
            'mission_id', notification.mission_id,
            'point_id', notification.point_id,
            'job_id', notification.job_id,
            'created_at', notification.created_at,
            'is_planned', notification.planned_at is not null,
            'is_unrouted', notification.planned_at is not null and exists (
                select
                from scooters_ops.unrouted_notifications as unrouted
                where unrouted.notification_id = notification.notification_id
            ),
            'details',
            notification.details - 'attributes'
            || jsonb_build_object(
                'attributes',
                scooters_ops.truncate_deep_attributes(
                    coalesce(notification.details -> 'attributes', '{}')
                )
            ),
            'recipients', (
                select coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'channel', recipient.channel,
                            'address', recipient.address,
                            'state', scooters_ops.delivery_state(
                                recipient.state, recipient.is_blocked, recipient.attempts
                            ),
                            'attempts', recipient.attempts,
                            'error', recipient.last_error,
                            'reference', recipient.reference,
                            'since', recipient.created_at,
                            'sent_at', recipient.sent_at
                        )
                        order by recipient.channel, recipient.recipient_id
                    ),
                    '[]'
                )
                from scooters_ops.notification_recipients as recipient
                where recipient.notification_id = notification.notification_id
            )
        )
        order by notification.notification_id desc
    ),
    '[]'
)
from scooters_ops.monitoring_notifications as notification
where notification.notification_id = any(notification_ids);
end; -- noqa: enable=all

comment on function scooters_ops.board_notifications(bigint[]) is
'These notifications, newest first, each with its recipients and their states (JSON array; states as in delivery_status).';

revoke execute on function scooters_ops.board_notifications(bigint[]) from public;
