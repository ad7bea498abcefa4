-- What is waiting, being retried, or given up, channel by channel?
create or replace view scooters_ops.delivery_status as
with unplanned as (
    select created_at
    from scooters_ops.monitoring_notifications
    where planned_at is null
    order by notification_id
    limit 10000
),

unrouted as (
    select created_at
    from scooters_ops.unrouted_notifications
    limit 10000  -- noqa: AM09
),

stuck_before as (
    select
        now() - in_force.stuck_after as moment,
        now() + in_force.stuck_after as ahead
    from scooters_ops.config_in_force as in_force
),

unsent as materialized (
    select
        unsent_recipients.*,
        coalesce(
            unsent_recipients.state in ('pending', 'retrying', 'blocked', 'sending')
            and unsent_recipients.next_attempt_at < (
                select stuck_before.moment
                from stuck_before
            ),
            false
        ) as is_overdue
    from scooters_ops.unsent_recipients
),

overdue as (
    select
        channel,
        address,
        min(next_attempt_at) as due_at
    from unsent
    where is_overdue
    group by channel, address
),

-- What is overdue waits rightly where it is held, where a limit is used up, and where
-- what came before it was taken lately, of its address or of its channel. Where
-- something was taken that had become due after it, it was passed over. A lease far
-- ahead of now tells of a clock that has been set back since.
stuck as materialized (
    select
        overdue.channel,
        overdue.address
    from overdue
    cross join stuck_before
    inner join scooters_ops.delivery_channels as busy
        on overdue.channel = busy.channel
    inner join scooters_ops.delivery_targets as whole
        on overdue.channel = whole.channel and whole.address = ''
    left join scooters_ops.delivery_targets as moved
        on overdue.channel = moved.channel and overdue.address = moved.address
    left join scooters_ops.delivery_targets as known
        on
            overdue.channel = known.channel
            and known.address = coalesce(moved.moved_address, overdue.address)
    cross join
        lateral scooters_ops.send_allowance(
            known.granted_at,
            scooters_ops.target_rules(
                busy.limits, coalesce(moved.moved_address, overdue.address)
            )
        ) as allowance
    cross join
        lateral (
            select count(*) as messages
            from scooters_ops.notification_recipients as recipient
            where
                recipient.channel = overdue.channel
                and recipient.address = overdue.address
                and recipient.state = 'sending'
                and recipient.next_attempt_at > now()
        ) as in_flight
    where
        greatest(known.held_until, busy.held_until, '-infinity') < stuck_before.moment
        and coalesce(allowance.opens_at <= now(), true)
        and coalesce(busy.opens_at <= now(), true)
        and coalesce(
            in_flight.messages < (busy.limits ->> 'in_flight_per_target')::integer, true
        )
        and not coalesce(
            known.leased_at between stuck_before.moment and stuck_before.ahead
            and known.leased_due_at <= overdue.due_at,
            false
        )
        and not coalesce(
            whole.leased_at between stuck_before.moment and stuck_before.ahead
            and whole.leased_due_at <= overdue.due_at,
            false
        )
)

select
    unsent.channel,
    unsent.state,
    count(*) as recipients,
    min(unsent.created_at) as oldest_created_at,
    min(unsent.next_attempt_at) as next_attempt_at,
    max(unsent.last_error) as sample_error,
    coalesce(
        bool_or(unsent.is_overdue and stuck.address is not null), false
    ) as is_stuck,
    bool_or(unsent.is_one_of_many) as is_lower_bound
from unsent
left join stuck using (channel, address)
group by unsent.channel, unsent.state
union all
select
    null as channel,
    'unplanned' as state,
    count(*) as recipients,
    min(created_at) as oldest_created_at,
    null as next_attempt_at,
    null as sample_error,
    coalesce(
        min(created_at) < (select stuck_before.moment from stuck_before),
        false
    ) as is_stuck,
    count(*) >= 10000 as is_lower_bound
from unplanned
having count(*) > 0
union all
select
    null as channel,
    'unrouted' as state,
    count(*) as recipients,
    min(created_at) as oldest_created_at,
    null as next_attempt_at,
    null as sample_error,
    false as is_stuck,
    count(*) >= 10000 as is_lower_bound
from unrouted
having count(*) > 0;

comment on view scooters_ops.delivery_status is
'Recipients that are not sent yet, by channel and state, and notifications without recipients: not planned yet, or matched by no route. Counted as far as unsent_recipients shows them: it reads no more, however much waits.';
comment on column scooters_ops.delivery_status.channel is
'The channel; null for notifications that no notifier has planned yet, and for those that no route matched.';
comment on column scooters_ops.delivery_status.state is
'pending, retrying, blocked, sending, failed or in_doubt, as in unsent_recipients; unplanned or unrouted.';
comment on column scooters_ops.delivery_status.recipients is
'How many recipients (for unplanned and unrouted: notifications) are in that state (a count); at least so many where is_lower_bound.';
comment on column scooters_ops.delivery_status.oldest_created_at is
'Since when the oldest of those counted waits.';
comment on column scooters_ops.delivery_status.next_attempt_at is
'When the next of them is tried; sending: when the next lease ends.';
comment on column scooters_ops.delivery_status.sample_error is
'The last error of one of those counted.';
comment on column scooters_ops.delivery_status.is_stuck is
'Whether one of them has been due for longer than notifier.stuck_after_seconds and nobody takes it: neither a hold nor a limit nor the turn of what came before it explains that.';
comment on column scooters_ops.delivery_status.is_lower_bound is
'Whether there are 10,000 or more of a kind, so that not all were counted: due or not yet, failed, in doubt, unplanned, unrouted.';

grant select on scooters_ops.delivery_status
to scooters_ops_analyst, scooters_ops_notifier;
