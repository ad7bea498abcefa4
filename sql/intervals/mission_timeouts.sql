-- Who has been too long at a point, or on the way to one?
create or replace view scooters_ops.mission_timeouts as
select
    mission_id,
    performer_id,
    point_id,
    type,
    started_at,
    finished_at,
    eta,
    factor,
    time_limit,
    deadline,
    elapsed,
    is_open,
    is_overdue,
    from_point_id,
    rule
from scooters_ops.mission_intervals
where is_overdue;

comment on view scooters_ops.mission_timeouts is
'The intervals that are overdue: timeout notifications agree with this view.';

grant select on scooters_ops.mission_timeouts to scooters_ops_analyst;
