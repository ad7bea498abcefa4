-- Does this courier pass the board's filters?
-- Plain SQL, so that the planner inlines it and a filter that is null costs nothing.
-- lower() needs the database's collation: with "C", which the identifiers have and
-- arguments inherit, it changes ASCII letters only.
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
'Whether the city equals of_city, and the performer_id equals of_performer or the performer_name contains it; city and name in any case of letters; null: no filter.';

revoke execute on function scooters_ops.board_matches(text, jsonb, text, text)
from public;
