-- What is not sent yet, and how far is it? At most 10,000 rows of each kind.
-- However much waits, the answer costs no more than these: of each channel what is due
-- and what is not yet, what failed and what is in doubt, each by its index. What was
-- sent is in none of these indexes.
create or replace view scooters_ops.unsent_recipients as
with known_channel as (
    select channel
    from scooters_ops.delivery_targets
    where address = ''
),

found as (
    select
        due.*,
        count(*) over (partition by known.channel) as of_this_kind
    from known_channel as known
    inner join lateral (
        select recipient.*
        from scooters_ops.notification_recipients as recipient
        where
            recipient.channel = known.channel
            and recipient.state in ('pending', 'sending')
            and recipient.next_attempt_at <= now()
        order by recipient.next_attempt_at
        limit 10000
    ) as due on true
    union all
    select
        later.*,
        count(*) over (partition by known.channel) as of_this_kind
    from known_channel as known
    inner join lateral (
        select recipient.*
        from scooters_ops.notification_recipients as recipient
        where
            recipient.channel = known.channel
            and recipient.state in ('pending', 'sending')
            and recipient.next_attempt_at > now()
        order by recipient.next_attempt_at
        limit 10000
    ) as later on true
    union all
    select
        failed.*,
        count(*) over (partition by known.channel) as of_this_kind
    from known_channel as known
    inner join lateral (
        select recipient.*
        from scooters_ops.notification_recipients as recipient
        where
            recipient.channel = known.channel
            and recipient.state = 'failed'
        limit 10000  -- noqa: AM09
    ) as failed on true
    union all
    select
        in_doubt.*,
        count(*) over (partition by known.channel) as of_this_kind
    from known_channel as known
    inner join lateral (
        select recipient.*
        from scooters_ops.notification_recipients as recipient
        where
            recipient.channel = known.channel
            and recipient.state = 'in_doubt'
        limit 10000  -- noqa: AM09
    ) as in_doubt on true
)

select
    found.channel collate "default" as channel,  -- noqa: RF02,RF03
    found.address collate "default" as address,  -- noqa: RF02,RF03
    case
        when found.state = 'pending' and found.is_blocked then 'blocked'
        when found.state = 'pending' and found.attempts > 0 then 'retrying'
        else found.state collate "default"  -- noqa: RF03
    end as state,
    found.created_at,
    found.next_attempt_at,
    found.last_error,
    found.of_this_kind >= 10000 as is_one_of_many
from found;

comment on view scooters_ops.unsent_recipients is
'Recipients that are not sent yet: of each channel at most 10,000 that are due (those due longest), 10,000 that are not yet, 10,000 failed and 10,000 in doubt, so that asking stays cheap whatever waits.';
comment on column scooters_ops.unsent_recipients.channel is
'The channel.';
comment on column scooters_ops.unsent_recipients.address is
'The chat or queue.';
comment on column scooters_ops.unsent_recipients.state is
'pending, retrying (pending, and tried before), blocked (pending, and no message can be made of it until a person mends what last_error names), sending, failed or in_doubt.';
comment on column scooters_ops.unsent_recipients.created_at is
'Since when it waits.';
comment on column scooters_ops.unsent_recipients.next_attempt_at is
'When it is tried next; sending: when the lease ends.';
comment on column scooters_ops.unsent_recipients.last_error is
'Why the last attempt that failed did.';
comment on column scooters_ops.unsent_recipients.is_one_of_many is
'Whether there are 10,000 or more of its kind, so that others are not shown.';

grant select on scooters_ops.unsent_recipients to scooters_ops_analyst;
