-- How does a time read? 2026-11-26 12:00:00 +03:00
-- Times in JSON may be out of the range of a calendar; those stay as they are.
create or replace function scooters_ops.why_time(at text, time_zone text)
returns text
language sql stable parallel safe
begin atomic -- noqa: disable=all
select coalesce(
    to_char(shown.by_zone, 'YYYY-MM-DD HH24:MI:SS ')
    || case when shown.ahead < 0 then '-' else '+' end
    || to_char(make_interval(secs => abs(shown.ahead)), 'HH24:MI'),
    why_time.at
)
from (
    select
        known.at at time zone why_time.time_zone as by_zone,
        extract(
            epoch from
            (known.at at time zone why_time.time_zone) - (known.at at time zone 'UTC')
        )::double precision as ahead
    from (
        select scooters_ops.why_moment(why_time.at) as at
    ) as known
) as shown;
end; -- noqa: enable=all

comment on function scooters_ops.why_time(text, text) is
'A time of a JSON object by the clock of this time zone, with its distance from UTC.';

revoke execute on function scooters_ops.why_time(text, text) from public;
