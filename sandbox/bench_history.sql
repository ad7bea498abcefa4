-- Finished history for the benchmark: %%(missions)s missions, numbered from %%(first)s on,
-- of 8 points with 2 jobs each, 18 events each, spread over the three months before
-- %%(start)s.
insert into scooters_ops.missions (mission_id, performer_id, status, attributes)
select
    'finished-' || i,
    'courier-' || i,
    'completed',
    '{"city": "Moscow"}'
from generate_series(%(first)s, %(first)s + %(missions)s - 1) as i;

insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
select
    'finished-' || i,
    'point-' || p,
    p,
    '600 s'
from generate_series(%(first)s, %(first)s + %(missions)s - 1) as i, generate_series(1, 8) as p;

insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, status)
select
    'finished-' || i,
    'point-' || p,
    'job-' || j,
    (array['battery_exchange', 'pickup'])[j],
    'completed'
from
    generate_series(%(first)s, %(first)s + %(missions)s - 1) as i,
    generate_series(1, 8) as p,
    generate_series(1, 2) as j;

insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
select
    'finished-' || i,
    case when step between 1 and 16 then 'point-' || (step + 1) / 2 end,
    case
        when step = 0 then 'mission_started'
        when step = 17 then 'mission_completed'
        when step %% 2 = 1 then 'point_arrived'
        else 'point_completed'
    end,
    %(start)s - make_interval(secs => 7776000.0 * (i - %(first)s) / %(missions)s + 86400 - 400 * step)
from generate_series(%(first)s, %(first)s + %(missions)s - 1) as i, generate_series(0, 17) as step
order by i, step;
