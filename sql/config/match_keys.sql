-- By which keys of a mission are the matches of a scope looked up?
create or replace view scooters_ops.match_keys as
select
    scope,
    key
from scooters_ops.compiled_keys;

comment on view scooters_ops.match_keys is
'The keys of missions by which matches of each scope are looked up, or have been.';
comment on column scooters_ops.match_keys.scope is
'route, override or silence.';
comment on column scooters_ops.match_keys.key is
'mission_id, performer_id or an attribute of the mission.';

grant select on scooters_ops.match_keys
to scooters_ops_analyst, scooters_ops_notifier;
