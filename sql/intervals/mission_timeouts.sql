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
'The intervals that are overdue by the config in force, live from the events: timeout notifications agree with this view. What closed under an earlier config is in interval_history as it was judged.';

grant select on scooters_ops.mission_timeouts to scooters_ops_analyst;
