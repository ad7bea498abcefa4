-- Which recipients are not sent yet, and in which state are they?
-- The view reads at most counting_limit() rows of each kind, and each kind by an index
-- that holds no sent rows: so it stays cheap, however many messages wait. What waits
-- for a digest's outcome is in the state of its leader.
create or replace view scooters_ops.unsent_recipients as
with known_channel as (
    select channel
    from scooters_ops.delivery_targets
    where address = ''
),

-- Due ones, those due longest first, and those due later.
waiting as (
    select
        recipient.*,
        count(*) over (partition by known.channel, due.after) as of_this_kind
    from known_channel as known
    cross join (
        values
        ('-infinity'::timestamptz, now()),
        (now(), 'infinity'::timestamptz)
    ) as due (after, until)
    inner join lateral (
        select unsent.*
        from scooters_ops.notification_recipients as unsent
        where
            unsent.channel = known.channel
            and unsent.state in ('pending', 'sending')
            and unsent.next_attempt_at > due.after
            and unsent.next_attempt_at <= due.until
        order by unsent.next_attempt_at
        limit scooters_ops.counting_limit()
    ) as recipient on true
),

needs_person as (
    select
        recipient.*,
        count(*) over (partition by known.channel, kind.state) as of_this_kind
    from known_channel as known
    cross join (values ('failed'), ('in_doubt')) as kind (state)
    inner join lateral (
        select unsent.*
        from scooters_ops.notification_recipients as unsent
        where
            unsent.channel = known.channel
            and unsent.state in ('failed', 'in_doubt')
            and unsent.state = kind.state
        limit scooters_ops.counting_limit()  -- noqa: AM09
    ) as recipient on true
),

found as (
    select * from waiting
    union all
    select * from needs_person
),

-- A join might read every silence, even if nothing was held.
held as (
    select
        found.*,
        (
            select coalesce(silence.ended_at, silence.ends_at)
            from scooters_ops.silences as silence
            where silence.silence_id = found.silence_id
        ) as held_until
    from found
),

held_with_digests as (
    select
        held.*,
        case
            when held.held_until <= now()
                then greatest(held.created_at, held.held_until)
            else held.created_at
        end as decided_at
    from held
    union all
    select
        leader.*,
        member.decided_at
    from held as leader
    inner join lateral (
        select
            greatest(
                waiting.created_at,
                (
                    select coalesce(silence.ended_at, silence.ends_at)
                    from scooters_ops.silences as silence
                    where silence.silence_id = waiting.silence_id
                )
            ) as decided_at
        from scooters_ops.notification_recipients as waiting
        where
            waiting.digest_id = leader.recipient_id
            and waiting.digest_id is not null
            and waiting.state = 'waiting'
        limit scooters_ops.counting_limit()  -- noqa: AM09
    ) as member on leader.recipient_id = leader.digest_id
)

select
    found.channel collate "default" as channel,  -- noqa: RF02,RF03
    found.address collate "default" as address,  -- noqa: RF02,RF03
    case
        when
            found.state = 'pending'
            and found.attempts = 0
            and found.step = 'alert'
            and found.held_until > now()
            then 'silenced'
        when
            found.state = 'pending'
            and found.attempts = 0
            and not found.is_blocked
            and found.next_attempt_at > now()
            then 'scheduled'
        else scooters_ops.delivery_state(found.state, found.is_blocked, found.attempts)
    end collate "default" as state,  -- noqa: RF02,RF03
    found.decided_at as created_at,
    found.next_attempt_at,
    found.last_error,
    found.of_this_kind >= scooters_ops.counting_limit() as is_one_of_many,
    found.step collate "default" as step,  -- noqa: RF02,RF03
    found.follows is not null as is_follow_up
from held_with_digests as found;

comment on view scooters_ops.unsent_recipients is
'Recipients that are not sent yet. For each channel at most counting_limit() rows of each kind, so that the view stays cheap: due (those due longest), due later, failed, in doubt.';
comment on column scooters_ops.unsent_recipients.channel is
'The channel.';
comment on column scooters_ops.unsent_recipients.address is
'The chat or queue.';
comment on column scooters_ops.unsent_recipients.state is
'pending, scheduled (an escalation or reminder that is not due yet), silenced (an alert that a silence holds until its end), retrying (pending, and tried before), blocked (pending, and no message can be made of it until a person fixes what last_error names), sending, failed or in_doubt.';
comment on column scooters_ops.unsent_recipients.created_at is
'When its recipient was decided; of what a silence has held: when that was over.';
comment on column scooters_ops.unsent_recipients.next_attempt_at is
'When it is tried next; sending: when the lease ends.';
comment on column scooters_ops.unsent_recipients.last_error is
'Why the last failed attempt failed.';
comment on column scooters_ops.unsent_recipients.is_one_of_many is
'Whether there are counting_limit() or more of its kind, so that the view leaves others out.';
comment on column scooters_ops.unsent_recipients.step is
'alert, escalation_N, reminder_N, acknowledged or resolved, as in notification_steps.';
comment on column scooters_ops.unsent_recipients.is_follow_up is
'Whether it changes or answers a message that was sent before: such messages wait for all others.';

grant select on scooters_ops.unsent_recipients to scooters_ops_analyst;
