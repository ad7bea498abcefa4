-- Which silences hold alerts now?
-- The start is not compared: it is ahead of now where the clock was set back since.
create or replace view scooters_ops.active_silences as
select
    silence_id,
    match,
    starts_at,
    ends_at,
    comment,
    created_by
from scooters_ops.silences
where
    ended_at is null
    and ends_at > now();

comment on view scooters_ops.active_silences is
'The silences that hold alerts now. silence_status also counts what they hold, and has those that are over.';
comment on column scooters_ops.active_silences.silence_id is
'Number of the silence.';
comment on column scooters_ops.active_silences.match is
'Which alerts it holds (JSON object, as in routes[].match).';
comment on column scooters_ops.active_silences.starts_at is
'When it was made.';
comment on column scooters_ops.active_silences.ends_at is
'When it ends, unless somebody ends it earlier.';
comment on column scooters_ops.active_silences.comment is
'Why it was made.';
comment on column scooters_ops.active_silences.created_by is
'Who made it.';

grant select on scooters_ops.active_silences
to scooters_ops_analyst, scooters_ops_notifier;
