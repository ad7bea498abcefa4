-- Which missions are there, whose are they, and how far are they?
create or replace view scooters_ops.mission_overview as
select
    mission_id,
    performer_id,
    status,
    attributes,
    created_at
from scooters_ops.missions;

comment on view scooters_ops.mission_overview is
'Every mission as it was created, with its present status.';
comment on column scooters_ops.mission_overview.mission_id is
'The mission.';
comment on column scooters_ops.mission_overview.performer_id is
'The courier who carries it out.';
comment on column scooters_ops.mission_overview.status is
'created, active, completed or cancelled.';
comment on column scooters_ops.mission_overview.attributes is
'Free facts (JSON object): city, zone, performer_name, ...';
comment on column scooters_ops.mission_overview.created_at is
'When it was created.';

grant select on scooters_ops.mission_overview to scooters_ops_analyst;
