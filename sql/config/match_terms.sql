-- What must a mission be like for each match to hold?
create or replace view scooters_ops.match_terms as
select
    scope,
    match_id,
    key,
    value
from scooters_ops.compiled_terms;

comment on view scooters_ops.match_terms is
'What each match says of the mission, one row for each value that it accepts. A value holds if it equals the mission''s as JSON does: 5 is 5.0 and not "5".';
comment on column scooters_ops.match_terms.scope is
'route, override or silence.';
comment on column scooters_ops.match_terms.match_id is
'The place of the route or override in the config, from 1, or the silence_id.';
comment on column scooters_ops.match_terms.key is
'mission_id, performer_id or an attribute of the mission.';
comment on column scooters_ops.match_terms.value is
'A value that it accepts (JSON).';

grant select on scooters_ops.match_terms
to scooters_ops_analyst, scooters_ops_notifier;
