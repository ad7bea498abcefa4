-- Which matches does a look by one key of a mission find?
create or replace view scooters_ops.match_lookups as
select
    scope,
    key,
    value,
    match_id,
    term_count,
    types,
    job_types,
    point_ids,
    from_time,
    span,
    days,
    time_zone,
    zone_attribute
from scooters_ops.compiled_lookups;

comment on view scooters_ops.match_lookups is
'The matches of routes, overrides and active silences once more, as mission_matches() looks them up: a row for each value of one key and for each calendar. What match_terms says of other keys is compared then.';
comment on column scooters_ops.match_lookups.scope is
'route, override or silence.';
comment on column scooters_ops.match_lookups.key is
'mission_id, performer_id or an attribute of the mission; null: the match says nothing of the mission.';
comment on column scooters_ops.match_lookups.value is
'A value of the key that the match accepts (JSON).';
comment on column scooters_ops.match_lookups.match_id is
'The place of the route or override in the config, from 1, or the silence_id.';
comment on column scooters_ops.match_lookups.term_count is
'About how many keys of the mission it says something (a count).';
comment on column scooters_ops.match_lookups.types is
'The notification types, one of which it must be; null: any.';
comment on column scooters_ops.match_lookups.job_types is
'The job types, one of which it must be; null: any, or none.';
comment on column scooters_ops.match_lookups.point_ids is
'The points, one of which it must be; null: any.';
comment on column scooters_ops.match_lookups.from_time is
'When its calendar begins, by the clock on the wall; null: it has none, and holds at any time.';
comment on column scooters_ops.match_lookups.span is
'How long its calendar lasts by that clock, its end exclusive (interval).';
comment on column scooters_ops.match_lookups.days is
'The days on which its calendar begins (1: Monday to 7: Sunday); null: every day.';
comment on column scooters_ops.match_lookups.time_zone is
'Whose clock, unless zone_attribute names another zone.';
comment on column scooters_ops.match_lookups.zone_attribute is
'The attribute of the mission that names the time zone; null: none.';

grant select on scooters_ops.match_lookups
to scooters_ops_analyst, scooters_ops_notifier;
