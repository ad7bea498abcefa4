-- What was noticed, who was told, who has it, and what became of it? Newest first.
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
            'is_unrouted',
            told.recipients is null and notification.planned_at is not null
            and exists (
                select
                from scooters_ops.unrouted_notifications as unrouted
                where unrouted.notification_id = notification.notification_id
            ),
            'acknowledged_at', notification.acknowledged_at,
            'acknowledged_by', notification.acknowledged_by,
            'resolved_at', notification.resolved_at,
            'resolution', notification.resolution,
            'finished_at', notification.ended_at,
            'details',
            notification.details - 'attributes'
            || jsonb_build_object(
                'attributes',
                scooters_ops.truncate_deep_attributes(
                    coalesce(notification.details -> 'attributes', '{}')
                )
            ),
            'recipients', coalesce(told.recipients, '[]'),
            'next_step', told.next_step
        )
        order by notification.notification_id desc
    ),
    '[]'
)
from scooters_ops.monitoring_notifications as notification
left join scooters_ops.board_steps(notification_ids) as told
    on notification.notification_id = told.notification_id
where
    notification.notification_id = any(notification_ids)
    and notification.type <> 'test';
end; -- noqa: enable=all

comment on function scooters_ops.board_notifications(bigint[]) is
'These notifications, newest first, each with its recipients, next_step, who acknowledged it, and how it was resolved (JSON array; recipients and next_step as board_steps() describes them). Those of notifier test are left out.';

revoke execute on function scooters_ops.board_notifications(bigint[]) from public;
