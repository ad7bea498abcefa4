-- What may this notifier send now?
-- Each channel gives at most as many rows as it has slots, so that a crowd waiting for
-- one channel never stands in another's way. A lease that ran out comes back as in
-- doubt: whoever held it may have sent the message before it died. But not to the same
-- worker: that knows what it has sent, and renews its own lease or gives it back.
-- The planner cannot know how few the slots are, and for as many as it guesses it would
-- read whole tables, by a hash or a merge join, and compile that: it is left the way
-- through the keys.
create or replace function scooters_ops.lease_deliveries(
    worker text,
    slots jsonb,
    lease_seconds double precision
)
returns table (
    recipient_id bigint,
    channel text,
    target jsonb,
    attempts integer,
    is_in_doubt boolean,
    idempotency_token text,
    type scooters_ops.monitoring_notification_type,
    mission_id text,
    point_id text,
    job_id text,
    details jsonb
)
language sql
security definer
set search_path = pg_catalog, pg_temp
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
with due as (
    select
        recipient.recipient_id,
        recipient.state = 'sending' as is_in_doubt
    from jsonb_each_text(lease_deliveries.slots) as slot (channel, free)
    cross join lateral (
        select
            waiting.recipient_id,
            waiting.state
        from scooters_ops.notification_recipients as waiting
        where
            waiting.channel = slot.channel
            and waiting.state in ('pending', 'sending')
            and waiting.next_attempt_at <= now()
            and waiting.leased_by is distinct from lease_deliveries.worker
        order by waiting.next_attempt_at
        limit slot.free::integer
        for update skip locked
    ) as recipient
),

leased as (
    update scooters_ops.notification_recipients as recipient
    set
        state = 'sending',
        attempts = recipient.attempts + 1,
        leased_by = lease_deliveries.worker,
        is_taken_over = due.is_in_doubt,
        next_attempt_at = now() + make_interval(secs => lease_deliveries.lease_seconds)
    from due
    where recipient.recipient_id = due.recipient_id
    returning
        recipient.recipient_id,
        recipient.notification_id,
        recipient.channel,
        recipient.target,
        recipient.attempts,
        due.is_in_doubt
)

select
    leased.recipient_id,
    leased.channel,
    leased.target,
    leased.attempts,
    leased.is_in_doubt,
    notification.idempotency_token,
    notification.type,
    notification.mission_id,
    notification.point_id,
    notification.job_id,
    notification.details
from leased
inner join scooters_ops.monitoring_notifications as notification using (notification_id)
order by leased.recipient_id
$$;

comment on function scooters_ops.lease_deliveries(text, jsonb, double precision) is
'Leases due recipients to a worker for lease_seconds: of each channel named in slots ({"telegram": 20}) at most so many. attempts counts this one; is_in_doubt: an earlier lease ran out, so that the message may have been sent.';

revoke execute on function scooters_ops.lease_deliveries(text, jsonb, double precision)
from public;
grant execute on function scooters_ops.lease_deliveries(text, jsonb, double precision)
to scooters_ops_notifier;
