-- Which keys of a mission does any match of a scope ask for?
create or replace view scooters_ops.match_keys as
select
    scope,
    key
from scooters_ops.compiled_keys;

comment on view scooters_ops.match_keys is
'The keys of missions that matches of each scope ask for, or have asked for.';
comment on column scooters_ops.match_keys.scope is
'route, override or silence.';
comment on column scooters_ops.match_keys.key is
'mission_id, performer_id or an attribute of the mission.';

grant select on scooters_ops.match_keys
to scooters_ops_analyst, scooters_ops_notifier;
