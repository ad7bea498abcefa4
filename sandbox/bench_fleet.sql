-- A fleet for the benchmark, the same each time; psycopg fills in %%(missions)s and
-- %%(start)s. Missions of 8 points with 2 jobs each, midway: mission i has i %% 16 events
-- after its start, 400 s apart. 100 of them, spread over the fleet, become overdue 1 s
-- after the start; of the others every 33rd (3 %%) has been for long, and the rest has an
-- hour. With the benchmark's factor of 20 a stay may last 9,600 s, and travel 12,000 s.
insert into scooters_ops.missions (mission_id, performer_id, status, attributes)
select
    'mission-' || i,
    'courier-' || i,
    'active',
    '{"city": "Moscow"}'
from generate_series(1, %(missions)s) as i;

insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
select
    'mission-' || i,
    'point-' || p,
    p,
    '600 s'
from generate_series(1, %(missions)s) as i, generate_series(1, 8) as p;

insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type)
select
    'mission-' || i,
    'point-' || p,
    'job-' || j,
    (array['battery_exchange', 'pickup'])[j]
from
    generate_series(1, %(missions)s) as i,
    generate_series(1, 8) as p,
    generate_series(1, 2) as j;

insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
with missions as (
    select
        i,
        i %% 16 as steps,
        case when i %% 2 = 1 then 9600 else 12000 end as limit_seconds,
        case
            when i %% (%(missions)s / 100) = 1 then 1
            when i %% 33 = 0 then -1000
            else 3600
        end as left_seconds
    from generate_series(1, %(missions)s) as i
),

last_events as (
    select
        i,
        steps,
        %(start)s + make_interval(secs => left_seconds - limit_seconds) as last_at
    from missions
)

select
    'mission-' || i,
    case when step > 0 then 'point-' || (step + 1) / 2 end,
    case
        when step = 0 then 'mission_started'
        when step %% 2 = 1 then 'point_arrived'
        else 'point_completed'
    end,
    last_at - make_interval(secs => 400 * (steps - step))
from last_events, generate_series(0, steps) as step
order by i, step;

insert into scooters_ops.mission_wakeups (mission_id, due_at)
select
    mission_id,
    '-infinity'
from scooters_ops.missions
where status = 'active';
