-- Which time zones may an attribute name?
create or replace view scooters_ops.known_time_zones as
select name
from scooters_ops.compiled_time_zones;

comment on view scooters_ops.known_time_zones is
'The time zones that this server knows, if a calendar takes its zone from an attribute; otherwise none.';
comment on column scooters_ops.known_time_zones.name is
'The time zone, in lower case.';

grant select on scooters_ops.known_time_zones
to scooters_ops_analyst, scooters_ops_notifier;
