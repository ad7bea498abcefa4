-- What did the passes of the last hour do, and did they keep up?
create or replace view scooters_ops.recent_detection_passes as
select
    pass_id,
    as_of,
    started_at,
    elapsed,
    missions,
    inserted,
    still_due,
    recorded,
    judged,
    resolved
from scooters_ops.detection_passes
where started_at >= now() - interval '1 hour';

comment on view scooters_ops.recent_detection_passes is
'The passes of the last hour, for graphs.';

grant select on scooters_ops.recent_detection_passes to scooters_ops_analyst;
