-- What does a digest say?
-- However many alerts it tells of, and whatever these hold, the facts are short. Of
-- what goes on, over_seconds is as of now.
create or replace function scooters_ops.digest_facts(digest_id bigint)
returns jsonb
language sql stable
begin atomic -- noqa: disable=all
with told as (
    select
        notification.notification_id,
        notification.type,
        notification.mission_id,
        notification.point_id,
        notification.created_at,
        notification.details ->> 'performer_id' as performer_id,
        notification.details #>> '{attributes,performer_name}' as performer_name,
        left(notification.details #>> '{attributes,city}', 200) as city,
        notification.resolved_at is not null as is_resolved,
        notification.resolved_at is not null
        or notification.acknowledged_at is not null as is_settled,
        member.silence_id is not null as was_silenced,
        case
            when
                jsonb_typeof(notification.details -> 'elapsed_seconds') = 'number'
                and jsonb_typeof(notification.details -> 'limit_seconds') = 'number'
                then least(
                    (notification.details ->> 'elapsed_seconds')::numeric
                    - (notification.details ->> 'limit_seconds')::numeric
                    + case
                        when notification.details ->> 'finished_at' is not null then 0
                        else greatest(
                            extract(
                                epoch from coalesce(notification.ended_at, now())
                                - notification.created_at
                            ),
                            0
                        )
                    end,
                    longest.seconds
                )
        end as over_seconds
    from scooters_ops.notification_recipients as member
    inner join scooters_ops.monitoring_notifications as notification
        on member.notification_id = notification.notification_id
    cross join (select extract(epoch from interval '10 years') as seconds) as longest
    where
        member.digest_id = digest_facts.digest_id
        and member.digest_id is not null
        and member.follows is null
),

place as (
    select
        told.city,
        count(*) as alerts,
        row_number() over (order by count(*) desc, told.city) as n
    from told
    where told.city is not null
    group by told.city
)

select jsonb_build_object(
    'alerts', count(*),
    'settled', count(*) filter (where told.is_settled),
    'resolved', count(*) filter (where told.is_resolved),
    'silenced', count(*) filter (where told.was_silenced),
    'since', min(told.created_at),
    'types', (
        select jsonb_agg(
            jsonb_build_object('type', kind.type, 'alerts', kind.alerts)
            order by kind.alerts desc, kind.type
        )
        from (
            select
                each.type,
                count(*) as alerts
            from told as each
            group by each.type
        ) as kind
    ),
    'cities', (
        select coalesce(
            jsonb_agg(
                jsonb_build_object('city', place.city, 'alerts', place.alerts)
                order by place.n
            ),
            '[]'
        )
        from place
        where place.n <= 5
    ),
    'elsewhere', (
        select coalesce(sum(place.alerts), 0)
        from place
        where place.n > 5
    ),
    'without_city', count(*) filter (where told.city is null),
    'worst', (
        select jsonb_agg(
            jsonb_build_object(
                'type', worst.type,
                'mission_id', left(worst.mission_id, 200),
                'point_id', left(worst.point_id, 200),
                'performer_id', left(worst.performer_id, 200),
                'performer_name', left(worst.performer_name, 200),
                'city', worst.city,
                'over_seconds', worst.over_seconds
            )
            order by worst.is_settled, worst.over_seconds desc nulls last,
                worst.notification_id
        )
        from (
            select each.*
            from told as each
            order by each.is_settled, each.over_seconds desc nulls last,
                each.notification_id
            limit 10
        ) as worst
    )
)
from told;
end; -- noqa: enable=all

comment on function scooters_ops.digest_facts(bigint) is
'What the digest with this leader says (JSON object): how many alerts it tells of; settled: acknowledged or resolved ones among them; resolved; silenced: those that a silence held; since: when the first was noticed; types and the five biggest cities with their alerts; elsewhere: alerts in other cities; without_city; worst: the ten that are furthest over their limit, those that go on first.';

revoke execute on function scooters_ops.digest_facts(bigint) from public;
