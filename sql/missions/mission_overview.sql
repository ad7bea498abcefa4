-- Which missions are there, who carries them out, and what is their status?
create or replace view scooters_ops.mission_overview as
select
    mission_id,
    performer_id,
    status,
    attributes,
    created_at
from scooters_ops.missions;

comment on view scooters_ops.mission_overview is
'Every mission with its current status.';

grant select on scooters_ops.mission_overview to scooters_ops_analyst;
