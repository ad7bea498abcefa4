-- Why was an interval noticed so long after its limit had passed?
-- What delayed it longest: the events came late, the config changed, or passes did not
-- come to it. Of an interval that an earlier version recorded nobody knows.
create or replace function scooters_ops.late_because(
    deadline timestamptz,
    known_at timestamptz,
    changed_at timestamptz,
    noticed_at timestamptz
)
returns text
language sql immutable parallel safe
return case
    when known_at is null then null
    when
        noticed_at - greatest(deadline, known_at, changed_at)
        > greatest(known_at, changed_at) - deadline
        then 'detection_down'
    when changed_at >= greatest(deadline, known_at) then 'config_changed'
    when known_at > deadline then 'event_late'
    else 'detection_down'
end;

comment on function
scooters_ops.late_because(timestamptz, timestamptz, timestamptz, timestamptz) is
'Why an interval with this deadline was noticed only then: event_late (what says when its limit passes was known at known_at), config_changed (the config made it overdue or enabled its type at changed_at; null: no), or detection_down (no pass came to it in time); null: unknown.';

revoke execute on function
scooters_ops.late_because(timestamptz, timestamptz, timestamptz, timestamptz)
from public;
