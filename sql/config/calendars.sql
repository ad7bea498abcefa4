-- Which times does each calendar cover?
create or replace view scooters_ops.calendars as
select
    name,
    from_time,
    span,
    days,
    time_zone,
    zone_attribute
from scooters_ops.compiled_calendars;

comment on view scooters_ops.calendars is
'The calendars of the config in force: times by the clock on the wall that "at" in a match names.';
comment on column scooters_ops.calendars.name is
'What a match calls it.';
comment on column scooters_ops.calendars.from_time is
'When it begins, by the clock on the wall.';
comment on column scooters_ops.calendars.span is
'How long it lasts by that clock, its end exclusive (interval).';
comment on column scooters_ops.calendars.days is
'The days on which it begins (1: Monday to 7: Sunday); null: every day.';
comment on column scooters_ops.calendars.time_zone is
'Whose clock, unless zone_attribute names another zone.';
comment on column scooters_ops.calendars.zone_attribute is
'The attribute of the mission that names the time zone; null: none.';

grant select on scooters_ops.calendars to scooters_ops_analyst, scooters_ops_notifier;
