-- How does a duration read? 2 h 5 min 30 s
create or replace function scooters_ops.why_duration(seconds numeric)
returns text
language sql immutable parallel safe
begin atomic -- noqa: disable=all
select case when whole.seconds < 0 then '-' else '' end
    || coalesce(
        nullif(
            concat_ws(
                ' ',
                nullif(div(abs(whole.seconds), 86400), 0)::text || ' d',
                nullif(mod(div(abs(whole.seconds), 3600), 24), 0)::text || ' h',
                nullif(mod(div(abs(whole.seconds), 60), 60), 0)::text || ' min',
                nullif(trim_scale(mod(abs(whole.seconds), 60)), 0)::text || ' s'
            ),
            ''
        ),
        '0 s'
    )
-- A whole second where it lasted longer than one.
from (
    select case
        when abs(why_duration.seconds) < 1 then round(why_duration.seconds, 3)
        else round(why_duration.seconds)
    end as seconds
) as whole;
end; -- noqa: enable=all

comment on function scooters_ops.why_duration(numeric) is
'A duration in seconds as sentences have it: 2 h 5 min 30 s.';

revoke execute on function scooters_ops.why_duration(numeric) from public;
