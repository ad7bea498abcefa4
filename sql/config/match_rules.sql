-- What must a notification or an interval be like, apart from its mission, for each
-- match to hold?
create or replace view scooters_ops.match_rules as
select
    scope,
    match_id,
    term_count,
    types,
    job_types,
    point_ids,
    calendars
from scooters_ops.compiled_matches;

comment on view scooters_ops.match_rules is
'The matches of routes, overrides and active silences, one row each. It holds if all its terms do (match_terms) and what stands here.';
comment on column scooters_ops.match_rules.scope is
'route, override or silence.';
comment on column scooters_ops.match_rules.match_id is
'The place of the route or override in the config, from 1, or the silence_id.';
comment on column scooters_ops.match_rules.term_count is
'About how many keys of the mission it says something (a count).';
comment on column scooters_ops.match_rules.types is
'The notification types, one of which it must be; null: any.';
comment on column scooters_ops.match_rules.job_types is
'The job types, one of which it must be; null: any, or none.';
comment on column scooters_ops.match_rules.point_ids is
'The points, one of which it must be; null: any.';
comment on column scooters_ops.match_rules.calendars is
'The calendars (names), in one of which the time must be; null: any time.';

grant select on scooters_ops.match_rules
to scooters_ops_analyst, scooters_ops_notifier;
