-- How many messages of each channel wait, are retried, failed or need a person?
create or replace view scooters_ops.delivery_status as
with unplanned as (
    select created_at
    from scooters_ops.monitoring_notifications
    where planned_at is null
    order by notification_id
    limit scooters_ops.counting_limit()
),

unrouted as (
    select created_at
    from scooters_ops.unrouted_notifications
    limit scooters_ops.counting_limit()  -- noqa: AM09
),

stuck_limits as (
    select
        now() - in_force.stuck_after as overdue_before,
        now() + in_force.stuck_after as plausible_until
    from scooters_ops.config_in_force as in_force
),

unsent as materialized (
    select
        unsent_recipients.*,
        coalesce(
            unsent_recipients.state in ('pending', 'retrying', 'blocked', 'sending')
            and unsent_recipients.next_attempt_at < (
                select stuck_limits.overdue_before
                from stuck_limits
            ),
            false
        ) as is_overdue
    from scooters_ops.unsent_recipients
),

overdue as (
    select
        channel,
        address,
        is_follow_up,
        min(next_attempt_at) as due_at
    from unsent
    where is_overdue
    group by channel, address, is_follow_up
),

-- An overdue message is not stuck if a hold or a used-up limit explains the wait, or if
-- a message of its address or channel that was due before it was leased lately. It is
-- stuck if one that was due after it was leased: it was passed over. A lease far ahead
-- of now does not count: the clock was set back since. A follow-up waits for everything
-- else, whenever that was due.
stuck as materialized (
    select
        overdue.channel,
        overdue.address,
        overdue.is_follow_up
    from overdue
    cross join stuck_limits
    inner join scooters_ops.delivery_channels as busy
        on overdue.channel = busy.channel
    cross join
        lateral (
            values
            (false, busy.limits, busy.opens_at),
            (
                true,
                scooters_ops.follow_up_limits(busy.limits),
                busy.follow_ups_open_at
            )
        ) as class (is_follow_up, limits, opens_at)
    inner join scooters_ops.delivery_targets as whole
        on overdue.channel = whole.channel and whole.address = ''
    left join scooters_ops.delivery_targets as moved
        on overdue.channel = moved.channel and overdue.address = moved.address
    left join scooters_ops.delivery_targets as known
        on
            overdue.channel = known.channel
            and known.address = coalesce(moved.moved_address, overdue.address)
    cross join
        lateral scooters_ops.rate_limit_status(
            known.granted_at,
            scooters_ops.target_rate_limits(
                class.limits, coalesce(moved.moved_address, overdue.address)
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
        class.is_follow_up = overdue.is_follow_up
        and greatest(known.held_until, busy.held_until, '-infinity')
        < stuck_limits.overdue_before
        and coalesce(allowance.opens_at <= now(), true)
        and coalesce(class.opens_at <= now(), true)
        and coalesce(
            in_flight.messages
            < (class.limits ->> 'in_flight_per_target')::integer,
            true
        )
        and not coalesce(
            known.leased_at
            between stuck_limits.overdue_before and stuck_limits.plausible_until
            and (overdue.is_follow_up or known.leased_due_at <= overdue.due_at),
            false
        )
        and not coalesce(
            whole.leased_at
            between stuck_limits.overdue_before and stuck_limits.plausible_until
            and (overdue.is_follow_up or whole.leased_due_at <= overdue.due_at),
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
left join stuck using (channel, address, is_follow_up)
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
        min(created_at) < (select stuck_limits.overdue_before from stuck_limits),
        false
    ) as is_stuck,
    count(*) >= scooters_ops.counting_limit() as is_lower_bound
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
    count(*) >= scooters_ops.counting_limit() as is_lower_bound
from unrouted
having count(*) > 0;

comment on view scooters_ops.delivery_status is
'How many recipients are not sent yet, by channel and state, and how many notifications are not planned yet or matched by no route. It counts at most counting_limit() rows of each kind, so that it stays cheap, however many messages wait.';
comment on column scooters_ops.delivery_status.channel is
'The channel; null for unplanned and unrouted.';
comment on column scooters_ops.delivery_status.state is
'pending, scheduled, silenced, retrying, blocked, sending, failed or in_doubt, as in unsent_recipients; unplanned: notifications that no notifier has planned yet; unrouted: notifications that no route matched.';
comment on column scooters_ops.delivery_status.recipients is
'How many recipients (unplanned, unrouted: notifications) are in that state (a count); if is_lower_bound, there may be more.';
comment on column scooters_ops.delivery_status.oldest_created_at is
'When the oldest of those counted was created.';
comment on column scooters_ops.delivery_status.next_attempt_at is
'When the next of them is due; sending: when the next lease ends.';
comment on column scooters_ops.delivery_status.sample_error is
'The last error of one of those counted.';
comment on column scooters_ops.delivery_status.is_stuck is
'Whether one of them has been due for longer than notifier.stuck_after_seconds, and neither a hold nor a limit nor the messages before it explain the wait.';
comment on column scooters_ops.delivery_status.is_lower_bound is
'Whether one of the kinds that make up this row (due, due later, failed, in doubt, unplanned, unrouted) reached counting_limit(), so that not all were counted.';

grant select on scooters_ops.delivery_status
to scooters_ops_analyst, scooters_ops_notifier;
