-- Who stayed too long at a point, or was too long on the way?
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
    is_overdue
from scooters_ops.mission_intervals
where is_overdue;

comment on view scooters_ops.mission_timeouts is
'The intervals that are overdue: the truth that notifications of timeouts agree with.';
comment on column scooters_ops.mission_timeouts.mission_id is
'The mission.';
comment on column scooters_ops.mission_timeouts.performer_id is
'The courier who carries it out.';
comment on column scooters_ops.mission_timeouts.point_id is
'The point where the courier is, or to which the courier is on the way.';
comment on column scooters_ops.mission_timeouts.type is
'timeout_in_point: at the point; timeout_between_points: on the way to it.';
comment on column scooters_ops.mission_timeouts.started_at is
'When the event that opened the interval occurred.';
comment on column scooters_ops.mission_timeouts.finished_at is
'When the next event closed it; null while it is open.';
comment on column scooters_ops.mission_timeouts.eta is
'Planned duration (interval); null where there is no plan, and so no limit.';
comment on column scooters_ops.mission_timeouts.factor is
'How many times the eta it may last, by the config in force (a number without unit).';
comment on column scooters_ops.mission_timeouts.time_limit is
'How long it may last: greatest(eta * factor, minimum) (interval); null: no limit.';
comment on column scooters_ops.mission_timeouts.deadline is
'started_at + time_limit; null: no limit, or one after the year 9999.';
comment on column scooters_ops.mission_timeouts.elapsed is
'How long it has lasted, until now or until it was closed (interval).';
comment on column scooters_ops.mission_timeouts.is_open is
'Whether no event has closed it yet.';
comment on column scooters_ops.mission_timeouts.is_overdue is
'Whether it has lasted strictly longer than its limit.';

grant select on scooters_ops.mission_timeouts to scooters_ops_analyst;
