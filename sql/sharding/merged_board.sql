-- What does one board show, made of those of several shards?
create or replace function scooters_router.merged_board(
    boards jsonb,
    max_missions integer
)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
with board as materialized (
    select part.value as answer
    from jsonb_array_elements(boards) as part
),

mission as (
    select
        listed.value,
        (
            select min((span.value ->> 'deadline')::timestamptz)
            from jsonb_array_elements(listed.value -> 'intervals') as span
            where span.value ->> 'finished_at' is null
        ) as deadline
    from board
    cross join lateral jsonb_array_elements(board.answer -> 'missions') as listed
    order by deadline, listed.value ->> 'mission_id'
    limit max_missions
),

open_notification as (
    select
        listed.key as mission_id,
        listed.value
    from board
    cross join lateral jsonb_each(board.answer -> 'open_notifications') as listed
    where listed.key in (select mission.value ->> 'mission_id' from mission)
),

notification as (
    select listed.value
    from board
    cross join lateral jsonb_array_elements(board.answer -> 'notifications') as listed
    order by (listed.value ->> 'created_at')::timestamptz desc
    limit 40
),

delivery as (
    select
        listed.value ->> 'channel' as channel,
        listed.value ->> 'state' as state,
        sum((listed.value ->> 'recipients')::bigint) as recipients,
        min((listed.value ->> 'oldest_created_at')::timestamptz) as oldest_created_at,
        min((listed.value ->> 'next_attempt_at')::timestamptz) as next_attempt_at,
        max(listed.value ->> 'sample_error') as sample_error,
        bool_or((listed.value ->> 'is_stuck')::boolean) as is_stuck,
        bool_or((listed.value ->> 'is_lower_bound')::boolean) as is_lower_bound
    from board
    cross join lateral jsonb_array_elements(board.answer -> 'delivery') as listed
    group by 1, 2
),

hold as (
    select distinct on (listed.value ->> 'channel') listed.value
    from board
    cross join lateral jsonb_array_elements(board.answer -> 'holds') as listed
    order by listed.value ->> 'channel', listed.value ->> 'held_until' desc
),

input as (
    select
        coalesce(bool_or((said.content ->> 'is_silent')::boolean), false) as is_silent,
        max((said.content ->> 'newest_event_at')::timestamptz) as newest_event_at,
        max((said.content ->> 'silent_after_seconds')::double precision)
            as silent_after_seconds,
        coalesce(
            jsonb_agg(board.answer -> 'shard')
            filter (where (said.content ->> 'is_silent')::boolean),
            '[]'
        ) as silent_shards
    from board
    cross join lateral (values (board.answer -> 'input')) as said (content)
),

-- A silence has the same number in every shard, unless it was made in one of them itself.
silence as (
    select
        (array_agg(listed.value))[1] || jsonb_build_object(
            'alerts_held', sum((listed.value ->> 'alerts_held')::bigint)
        ) as value
    from board
    cross join lateral jsonb_array_elements(board.answer -> 'silences') as listed
    group by
        listed.value -> 'silence_id',
        case
            when (listed.value ->> 'silence_id')::bigint < 1099511627776
                then board.answer -> 'shard'
        end
)

select
    jsonb_build_object(
        'as_of', min(board.answer ->> 'as_of'),
        'recorded_at', to_jsonb(min((board.answer ->> 'recorded_at')::timestamptz)),
        'active', sum((board.answer ->> 'active')::bigint),
        'matching', sum((board.answer ->> 'matching')::bigint),
        'overdue', sum((board.answer ->> 'overdue')::bigint),
        'may_be_late', 0,
        'missions', coalesce(
            (
                select
                    jsonb_agg(
                        mission.value
                        order by mission.deadline, mission.value ->> 'mission_id'
                    )
                from mission
            ),
            '[]'
        ),
        'open_notifications', coalesce(
            (
                select
                    jsonb_object_agg(
                        open_notification.mission_id, open_notification.value
                    )
                from open_notification
            ),
            '{}'
        ),
        'notifications', coalesce(
            (
                select
                    jsonb_agg(
                        notification.value
                        order by (notification.value ->> 'created_at')::timestamptz desc
                    )
                from notification
            ),
            '[]'
        ),
        'detection', jsonb_build_object(
            'is_enabled',
            bool_and((board.answer #>> '{detection,is_enabled}')::boolean),
            'is_stalled',
            bool_or((board.answer #>> '{detection,is_stalled}')::boolean),
            'last_pass_at',
            min((board.answer #>> '{detection,last_pass_at}')::timestamptz)
        ),
        'input', (
            select
                jsonb_build_object(
                    'is_silent', input.is_silent,
                    'newest_event_at', input.newest_event_at,
                    'silent_after_seconds', input.silent_after_seconds,
                    'silent_shards', case
                        when
                            input.newest_event_at
                            >= min((board.answer ->> 'as_of')::timestamptz)
                            - make_interval(secs => input.silent_after_seconds)
                            then input.silent_shards
                        else '[]'
                    end
                )
            from input
        ),
        'delivery', coalesce(
            (
                select jsonb_agg(to_jsonb(delivery) order by delivery.channel, delivery.state)
                from delivery
            ),
            '[]'
        ),
        'holds', coalesce((select jsonb_agg(hold.value) from hold), '[]'),
        'silences', coalesce(
            (
                select
                    jsonb_agg(
                        silence.value
                        order by
                            (silence.value ->> 'ends_at')::timestamptz,
                            silence.value -> 'silence_id'
                    )
                from silence
            ),
            '[]'
        )
    )
from board
$$;

comment on function scooters_router.merged_board(jsonb, integer) is
'One board of those of several shards (a JSON array); as board() describes it.';

revoke execute on function scooters_router.merged_board(jsonb, integer) from public;
