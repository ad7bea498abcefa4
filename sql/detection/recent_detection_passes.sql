-- What did the passes of the last hour cost, and did they keep up?
create or replace view scooters_ops.recent_detection_passes as
select
    pass_id,
    as_of,
    started_at,
    elapsed,
    missions,
    inserted,
    still_due
from scooters_ops.detection_passes
where started_at >= now() - interval '1 hour';

comment on view scooters_ops.recent_detection_passes is
'The passes of the last hour, for graphs.';
comment on column scooters_ops.recent_detection_passes.pass_id is
'Number of the pass.';
comment on column scooters_ops.recent_detection_passes.as_of is
'The moment as of which it looked.';
comment on column scooters_ops.recent_detection_passes.started_at is
'When it started.';
comment on column scooters_ops.recent_detection_passes.elapsed is
'How long it took (interval).';
comment on column scooters_ops.recent_detection_passes.missions is
'How many missions it looked at (a count).';
comment on column scooters_ops.recent_detection_passes.inserted is
'How many notifications it inserted (a count).';
comment on column scooters_ops.recent_detection_passes.still_due is
'How many missions were due and left to the next pass (a count).';

grant select on scooters_ops.recent_detection_passes to scooters_ops_analyst;
