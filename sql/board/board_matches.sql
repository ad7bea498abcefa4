-- Is this courier one that the board was asked for?
-- Plain SQL, so that the planner sees through it: what is not asked for costs nothing.
-- Identifiers' collation "C", which arguments take over, knows only ASCII's letters.
create or replace function scooters_ops.board_matches(
    performer_id text,
    attributes jsonb,
    of_city text,
    of_performer text
)
returns boolean
language sql immutable parallel safe
return (
    of_city is null
    or lower(attributes ->> 'city') = lower(of_city collate "default")
)
and (
    of_performer is null
    or performer_id = of_performer
    or strpos(
        lower(attributes ->> 'performer_name'), lower(of_performer collate "default")
    ) > 0
);

comment on function scooters_ops.board_matches(text, jsonb, text, text) is
'Whether the city is of_city, and the performer_id of_performer or the performer_name something that contains it, whatever the case of letters; null: whichever.';

revoke execute on function scooters_ops.board_matches(text, jsonb, text, text)
from public;
