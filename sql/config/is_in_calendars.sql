-- Is it one of these times?
-- By the clock on the wall: of a time that comes twice both hours count, and a time that
-- the clock leaps over never comes.
create or replace function scooters_ops.is_in_calendars(
    calendars text[],
    at timestamptz,
    attributes jsonb
)
returns boolean
language sql stable parallel safe
begin atomic -- noqa: disable=all
select exists (
    select
    from scooters_ops.calendars as calendar
    left join scooters_ops.known_time_zones as named
        on named.name = lower(is_in_calendars.attributes ->> calendar.zone_attribute)
    cross join lateral (
        select is_in_calendars.at at time zone coalesce(named.name, calendar.time_zone)
            as shown
    ) as clock
    cross join lateral (
        select
            clock.shown::time >= calendar.from_time as is_after_start,
            clock.shown::time < calendar.to_time as is_before_end,
            coalesce(
                date_part('isodow', clock.shown) = any(calendar.days), true
            ) as is_today,
            coalesce(
                date_part('isodow', clock.shown - interval '1 day') = any(calendar.days),
                true
            ) as is_since_yesterday
    ) as reading
    where
        calendar.name = any(is_in_calendars.calendars)
        and case
            when calendar.from_time < calendar.to_time
                then is_after_start and is_before_end and is_today
            else (is_after_start and is_today) or (is_before_end and is_since_yesterday)
        end
);
end; -- noqa: enable=all

comment on function scooters_ops.is_in_calendars(text[], timestamptz, jsonb) is
'Whether a time is in one of these calendars, for a mission with these attributes (JSON object), one of which may name the time zone. A zone that this server does not know counts as the calendar''s default.';

revoke execute on function
scooters_ops.is_in_calendars(text[], timestamptz, jsonb) from public;
grant execute on function scooters_ops.is_in_calendars(text[], timestamptz, jsonb)
to scooters_ops_analyst, scooters_ops_notifier;
