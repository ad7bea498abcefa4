-- How does somebody mute a known problem without losing it?
create or replace function scooters_ops.silence(
    match jsonb,
    duration interval,
    comment text,
    by text default session_user
)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    return scooters_ops.place_silence(null, match, duration, comment, by);
end
$$;

comment on function scooters_ops.silence(jsonb, interval, text, text) is
'Holds the alerts that match (JSON object, as in routes[].match; text and numbers differ) until the duration is over, and returns the number of the silence. Then an alert goes out, saying until when it was silenced, by whom and why, unless its notification has resolved by then. What follows an alert that was sent is not held. comment says why (at most 500 characters), by who (at most 200). SQLSTATE 22023: a match that is empty, malformed or names an unknown type or calendar, or a duration that is not positive or longer than silences.longest_seconds; 22004: an argument is missing; 22001: a text is too long.';

revoke execute on function scooters_ops.silence(jsonb, interval, text, text)
from public;
grant execute on function scooters_ops.silence(jsonb, interval, text, text)
to scooters_ops_operator;
