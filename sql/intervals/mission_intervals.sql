-- Where is and was each courier, since when, and how long may it last?
create or replace view scooters_ops.mission_intervals as
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
from scooters_ops.mission_intervals_at(now());

comment on view scooters_ops.mission_intervals is
'Every interval of every mission as of now: time spent at a point, or on the way to one. Live from the events, and by the config in force, also what closed long ago; interval_history has what passes recorded, as it was judged.';
comment on column scooters_ops.mission_intervals.mission_id is
'The mission.';
comment on column scooters_ops.mission_intervals.performer_id is
'The courier who carries it out.';
comment on column scooters_ops.mission_intervals.point_id is
'The point where the courier is, or to which the courier is on the way.';
comment on column scooters_ops.mission_intervals.type is
'timeout_in_point: at the point; timeout_between_points: on the way to it.';
comment on column scooters_ops.mission_intervals.started_at is
'When the event that opened the interval occurred.';
comment on column scooters_ops.mission_intervals.finished_at is
'When the next event closed it; null: it is still open.';
comment on column scooters_ops.mission_intervals.eta is
'Planned duration (interval); null: nothing is planned, so there is no limit.';
comment on column scooters_ops.mission_intervals.factor is
'How many times its eta it may last, by the config in force (a number without unit).';
comment on column scooters_ops.mission_intervals.time_limit is
'How long it may last: greatest(eta * factor, minimum) (interval); null: no limit.';
comment on column scooters_ops.mission_intervals.deadline is
'When its limit is reached: started_at + time_limit; null: no limit, or one after the year 9999.';
comment on column scooters_ops.mission_intervals.elapsed is
'How long it has lasted, or lasted until it was closed (interval).';
comment on column scooters_ops.mission_intervals.is_open is
'Whether it is still open: no event has closed it.';
comment on column scooters_ops.mission_intervals.is_overdue is
'Whether it has lasted strictly longer than its limit.';
comment on column scooters_ops.mission_intervals.from_point_id is
'Where it began: the point itself (timeout_in_point), or the point left behind (timeout_between_points); null: the start of the mission.';
comment on column scooters_ops.mission_intervals.rule is
'The name of the override that decided, the first whose match held when the interval started; null: the default rule.';

grant select on scooters_ops.mission_intervals to scooters_ops_analyst;
