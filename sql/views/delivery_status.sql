-- What is waiting, being retried, or given up, channel by channel?
create or replace view scooters_ops.delivery_status as
with unsent as (
    -- Two questions, since each has its index; what was sent is in neither.
    select *
    from scooters_ops.notification_recipients
    where state in ('pending', 'sending')
    union all
    select *
    from scooters_ops.notification_recipients
    where state in ('failed', 'in_doubt')
)

select
    channel,
    case
        when state = 'pending' and attempts > 0 then 'retrying'
        else state
    end as state,
    count(*) as recipients,
    min(created_at) as oldest_created_at,
    min(next_attempt_at) as next_attempt_at,
    max(last_error) as sample_error,
    min(next_attempt_at) < now() - (
        select in_force.stuck_after from scooters_ops.config_in_force as in_force
    )
    and min(state) in ('pending', 'sending') as is_stuck
from unsent
group by 1, 2
union all
select
    null as channel,
    'unplanned' as state,
    count(*) as recipients,
    min(created_at) as oldest_created_at,
    null as next_attempt_at,
    null as sample_error,
    min(created_at) < now() - (
        select in_force.stuck_after from scooters_ops.config_in_force as in_force
    ) as is_stuck
from scooters_ops.monitoring_notifications
where planned_at is null
having count(*) > 0;

comment on view scooters_ops.delivery_status is
'Recipients that are not sent yet, by channel and state, and notifications without recipients yet.';
comment on column scooters_ops.delivery_status.channel is
'The channel; null for notifications that no notifier has planned yet.';
comment on column scooters_ops.delivery_status.state is
'pending, retrying, sending, failed, in_doubt or unplanned.';
comment on column scooters_ops.delivery_status.recipients is
'How many recipients (for unplanned: notifications) are in that state (a count).';
comment on column scooters_ops.delivery_status.oldest_created_at is
'Since when the oldest of them waits.';
comment on column scooters_ops.delivery_status.next_attempt_at is
'When the next of them is tried.';
comment on column scooters_ops.delivery_status.sample_error is
'The last error of one of them.';
comment on column scooters_ops.delivery_status.is_stuck is
'Whether one of them has been due for longer than notifier.stuck_after_seconds: nobody takes it.';

grant select on scooters_ops.delivery_status
to scooters_ops_analyst, scooters_ops_notifier;
