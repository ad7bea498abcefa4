-- What is waiting, being retried, or given up, channel by channel?
create or replace view scooters_ops.delivery_status as
with unplanned as (
    select created_at
    from scooters_ops.monitoring_notifications
    where planned_at is null
    order by notification_id
    limit 10000
),

stuck_before as (
    select now() - in_force.stuck_after as moment
    from scooters_ops.config_in_force as in_force
),

-- Nobody is stuck where something was leased lately: the others wait for their turn.
-- A lease ahead of now tells of a clock that has been set back since.
moving as materialized (
    select busy.channel
    from scooters_ops.delivery_channels as busy
    cross join stuck_before
    where
        busy.last_granted_at >= stuck_before.moment
        and busy.last_granted_at <= now() + (now() - stuck_before.moment)
),

held as materialized (
    select
        channel,
        address
    from scooters_ops.delivery_holds
    where held_until > now()
)

select
    unsent.channel,
    unsent.state,
    count(*) as recipients,
    min(unsent.created_at) as oldest_created_at,
    min(unsent.next_attempt_at) as next_attempt_at,
    max(unsent.last_error) as sample_error,
    coalesce(
        min(unsent.next_attempt_at) filter (
            where unsent.state in ('pending', 'retrying', 'sending')
            and (unsent.channel, unsent.address) not in (
                select
                    held.channel,
                    held.address
                from held
                where held.address is not null
            )
            and unsent.channel not in (
                select held.channel
                from held
                where held.address is null
            )
            and unsent.channel not in (select moving.channel from moving)
        ) < (select stuck_before.moment from stuck_before),
        false
    ) as is_stuck,
    bool_or(unsent.is_one_of_many) as is_lower_bound
from scooters_ops.unsent_recipients as unsent
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
having count(*) > 0;

comment on view scooters_ops.delivery_status is
'Recipients that are not sent yet, by channel and state, and notifications without recipients yet. Counted as far as unsent_recipients shows them: it reads no more, however much waits.';
comment on column scooters_ops.delivery_status.channel is
'The channel; null for notifications that no notifier has planned yet.';
comment on column scooters_ops.delivery_status.state is
'pending, retrying, sending, failed, in_doubt or unplanned.';
comment on column scooters_ops.delivery_status.recipients is
'How many recipients (for unplanned: notifications) are in that state (a count); at least so many where is_lower_bound.';
comment on column scooters_ops.delivery_status.oldest_created_at is
'Since when the oldest of those counted waits.';
comment on column scooters_ops.delivery_status.next_attempt_at is
'When the next of them is tried; sending: when the next lease ends.';
comment on column scooters_ops.delivery_status.sample_error is
'The last error of one of those counted.';
comment on column scooters_ops.delivery_status.is_stuck is
'Whether one of them that is not held back has been due for longer than notifier.stuck_after_seconds, while nothing of its channel was leased: nobody takes it.';
comment on column scooters_ops.delivery_status.is_lower_bound is
'Whether there are 10,000 or more of a kind, so that not all were counted: due or not yet, failed, in doubt, unplanned.';

grant select on scooters_ops.delivery_status
to scooters_ops_analyst, scooters_ops_notifier;
