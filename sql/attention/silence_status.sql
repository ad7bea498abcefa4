-- Who silenced what until when, and how much does it hold?
create or replace view scooters_ops.silence_status as
select
    silence.silence_id,
    silence.match,
    silence.starts_at,
    silence.ends_at,
    silence.comment collate "default" as comment,  -- noqa: RF02,RF03
    silence.created_by collate "default" as created_by,  -- noqa: RF02,RF03
    silence.ended_at,
    silence.ended_by collate "default" as ended_by,  -- noqa: RF02,RF03
    active.silence_id is not null as is_active,
    held.alerts_held,
    held.alerts_total
from scooters_ops.silences as silence
left join scooters_ops.active_silences as active using (silence_id)
cross join lateral (
    select
        count(*) filter (
            where recipient.state = 'pending'
            and recipient.attempts = 0
            and active.silence_id is not null
        ) as alerts_held,
        count(*) as alerts_total
    from scooters_ops.notification_recipients as recipient
    where
        recipient.silence_id = silence.silence_id
        and recipient.step = 'alert'
) as held;

comment on view scooters_ops.silence_status is
'The silences, those that are over included, and how many alerts each of them holds and has held.';
comment on column scooters_ops.silence_status.silence_id is
'Number of the silence.';
comment on column scooters_ops.silence_status.match is
'Which alerts it holds (JSON object, as in routes[].match).';
comment on column scooters_ops.silence_status.starts_at is
'When it was made.';
comment on column scooters_ops.silence_status.ends_at is
'When it ends or ended, unless somebody ended it earlier.';
comment on column scooters_ops.silence_status.comment is
'Why it was made.';
comment on column scooters_ops.silence_status.created_by is
'Who made it.';
comment on column scooters_ops.silence_status.ended_at is
'When somebody ended it early; null: nobody has.';
comment on column scooters_ops.silence_status.ended_by is
'Who ended it early.';
comment on column scooters_ops.silence_status.is_active is
'Whether it holds alerts now.';
comment on column scooters_ops.silence_status.alerts_held is
'How many alerts it holds now, one for each recipient (a count). Of several silences that match an alert, the one that ends last holds it.';
comment on column scooters_ops.silence_status.alerts_total is
'How many alerts it holds or was the last to hold, one for each recipient (a count).';

grant select on scooters_ops.silence_status
to scooters_ops_analyst, scooters_ops_notifier;
