-- When can the next message be leased?
-- Notifiers of earlier versions do not name the channels of follow-ups, and get none.
create or replace function scooters_ops.next_delivery(
    channels text[],
    follow_up_channels text[] default '{}',
    out wait_seconds double precision,
    out is_limited boolean
)
language sql stable
security definer
set search_path = pg_catalog, pg_temp
as $$
select
    extract(epoch from min(greatest(earliest.opens_at - now(), '0'))),
    coalesce(
        bool_or(
            queue.due_at <= now()
            and earliest.opens_at > now()
            and coalesce(greatest(queue.held_until, channel.held_until) <= now(), true)
        ),
        false
    )
from scooters_ops.delivery_channels as channel
cross join lateral (
    values
    (false, channel.limits, channel.opens_at, channel.free),
    (
        true,
        scooters_ops.follow_up_limits(channel.limits),
        channel.follow_ups_open_at,
        channel.free_for_follow_ups
    )
) as class (is_follow_up, limits, opens_at, free)
cross join lateral scooters_ops.delivery_queue(
    channel.channel, class.limits, class.is_follow_up
) as queue
cross join lateral (
    select
        greatest(
            queue.due_at,
            queue.held_until,
            queue.opens_at,
            channel.held_until,
            class.opens_at
        ) as opens_at
) as earliest
where
    channel.channel = any(
        case
            when class.is_follow_up then next_delivery.follow_up_channels
            else next_delivery.channels
        end
    )
    -- What waits only for a message in flight is leased after that message's result.
    and not coalesce(queue.free <= 0 and queue.opens_at is null, false)
    and not coalesce(class.free <= 0 and class.opens_at is null, false)
$$;

comment on function scooters_ops.next_delivery(text[], text[]) is
'wait_seconds: in how many seconds the next recipient of these channels can be leased, or the next one that changes or answers an earlier message, of follow_up_channels; null: none waits, except for a message in flight. is_limited: whether a recipient is due that waits only for a rate limit.';

revoke execute on function scooters_ops.next_delivery(text[], text[]) from public;
grant execute on function scooters_ops.next_delivery(text[], text[])
to scooters_ops_notifier;
