-- How soon is it acknowledged and over, by route?
-- A route is known by its recipients, in whichever config it stands.
with reported as (
    select
        response.*,
        (
            select
                string_agg(
                    part.value, case part.key when 'type' then ', ' else ' ' end
                    order by recipient.n, part.key <> 'type', part.key
                )
            from
                jsonb_array_elements(notification.recipients)
                with ordinality as recipient (target, n)
            cross join jsonb_each_text(recipient.target - 'sended') as part (key, value)
        ) as recipients
    from scooters_ops.response_times as response
    inner join scooters_ops.notifications as notification
        on
            response.mission_id = notification.mission_id
            and response.notification_id = notification.notification_id
    where
        response.noticed_at >= :'since'
        and response.noticed_at < :'until'
        and notification.created_at >= :'since'
        and notification.created_at < :'until'
)

select
    recipients,
    count(*) as notifications,
    count(acknowledged_at) as acknowledged,
    make_interval(
        secs => percentile_cont(0.5) within group (
            order by date_part('epoch', acknowledged_after)
        )
    ) as acknowledged_after,
    count(resolved_at) as resolved,
    make_interval(
        secs => percentile_cont(0.5) within group (
            order by date_part('epoch', resolved_after)
        )
    ) as resolved_after,
    count(*) < 30 as is_few
from reported
group by recipients
order by notifications desc, recipients asc;
