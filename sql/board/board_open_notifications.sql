-- Who was told that these couriers are late, and who has it?
-- The board asks this of up to 200 open intervals: hence text (json), as in
-- board_interval.
create or replace function scooters_ops.board_open_notifications(
    notification_ids bigint[]
)
returns json
language sql stable
begin atomic -- noqa: disable=all
select coalesce(
    json_object_agg(
        notification.mission_id,
        json_build_object(
            'token', notification.idempotency_token,
            'type', notification.type,
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
            'recipients', coalesce(told.recipients, '[]'),
            'next_step', told.next_step
        )
    ),
    '{}'
)
from scooters_ops.monitoring_notifications as notification
left join scooters_ops.board_steps(notification_ids) as told
    on notification.notification_id = told.notification_id
where notification.notification_id = any(notification_ids);
end; -- noqa: enable=all

comment on function scooters_ops.board_open_notifications(bigint[]) is
'These notifications by their mission_id, as board_notifications() shows them but without what the mission itself says (JSON object). Of each mission it is given one at most.';

revoke execute on function scooters_ops.board_open_notifications(bigint[]) from public;
