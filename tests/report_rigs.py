"""A fortnight of intervals, jobs and notifications, as passes and notifiers would leave them."""

from __future__ import annotations

from datetime import UTC, datetime

from psycopg.sql import SQL, Literal

from tests.conftest import TestDatabase

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
UNTIL = datetime(2026, 11, 15, tzinfo=UTC)
HOSTILE = (
    "</svg></style><script>alert(1)</script>",
    "=1+2",
    "W" * 300,
    "نيويورك المدينة الكبيرة",
    "a\u202eb\x1b[31m",
    "Санкт-Петербург & Ко",
)
"""Names of cities, those that are late most often."""

FORTNIGHT = """
insert into scooters_ops.missions (mission_id, performer_id, status, attributes, created_at)
select
    'm' || m,
    'c-' || (m * 7 % 43),
    'completed',
    jsonb_build_object(
        'performer_name', 'Courier ' || (m * 7 % 43),
        'city', case
            when m % 31 < 25 then 'City ' || (m % 31) else (array[HOSTILE])[m % 31 - 24]
        end
    ),
    timestamptz '2026-11-01 00:00+00' + interval '14 minutes' * m
from generate_series(1, 1400) as m;

insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
select 'm' || m, 'p' || p, p, interval '10 minutes'
from generate_series(1, 1400) as m, generate_series(1, 3) as p;

insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, status)
select
    'm' || m, 'p' || p, 'j1', (array['pickup', 'dropoff', 'battery_exchange'])[1 + (m + p) % 3],
    case when (m * 13 + p * 7) % 41 = 0 then 'skipped' else 'completed' end
from generate_series(1, 1400) as m, generate_series(1, 3) as p;

insert into scooters_ops.recorded_intervals (
    mission_id, type, is_judged, from_point_id, point_id, started_at, finished_at, deadline,
    eta, time_limit, factor, rule
)
select
    'm' || m,
    (array['timeout_between_points', 'timeout_in_point'])[1 + e % 2]
    ::scooters_ops.monitoring_notification_type,
    true,
    case when e = 0 then '' else 'place ' || (m * 5 + (e + 1) / 2) % 37 end,
    'place ' || (m * 5 + (e + 2) / 2) % 37,
    began.at,
    began.at + interval '1 second' * (
        200 + (m * 37 + e * 101) % 911 + case when m % 31 < 25 then 0 else 120 end
    ),
    began.at + interval '15 minutes',
    interval '10 minutes', interval '15 minutes', 1.5,
    case when m % 9 = 0 then 'night' end
from generate_series(1, 1400) as m
cross join generate_series(0, 5) as e
cross join lateral (
    select timestamptz '2026-11-01 00:00+00' + interval '14 minutes' * m
        + interval '17 minutes' * e as at
) as began;

insert into scooters_ops.monitoring_notifications (
    idempotency_token, mission_id, point_id, type, created_at, planned_at, noticed_after,
    late_because, recipients, details, acknowledged_at, acknowledged_by, resolved_at,
    resolution, ended_at, config_id, told_at
)
select
    scooters_ops.idempotency_token(
        recorded.mission_id, recorded.from_point_id, null, recorded.type
    ),
    recorded.mission_id,
    recorded.point_id,
    recorded.type,
    recorded.deadline + interval '20 seconds',
    recorded.deadline + interval '25 seconds',
    interval '20 seconds' + case when n % 11 = 0 then interval '10 minutes' else '0' end,
    case when n % 22 = 0 then 'event_late' when n % 11 = 0 then 'detection_down' end,
    case
        when n % 4 = 0
            then '[
                {"type": "telegram", "chat_id": -1001, "sended": true},
                {"type": "st", "queue": "DUTY", "sended": true}
            ]'
        when n % 50 = 1 then '[]'
        else '[{"type": "telegram", "chat_id": -1002, "sended": true}]'
    end::jsonb,
    jsonb_build_object(
        'rule', recorded.rule,
        'attributes', mission.attributes,
        'performer_id', mission.performer_id,
        'detected_at', recorded.deadline + interval '20 seconds'
    ),
    case when n % 3 = 0 then recorded.deadline + interval '1 second' * (30 + n % 400) end,
    case when n % 3 = 0 then (array['Olga', 'Petr', 'Иван'])[1 + n % 3 + n % 2] end,
    recorded.finished_at + interval '10 seconds',
    'moved_on',
    recorded.finished_at,
    1,
    case when n % 50 <> 1 then recorded.deadline + interval '25 seconds' end
from (
    select *, row_number() over (order by started_at, mission_id, from_point_id) as n
    from scooters_ops.recorded_intervals
    where finished_at > deadline
) as recorded
inner join scooters_ops.missions as mission using (mission_id);

update scooters_ops.recorded_intervals as recorded
set notification_id = notification.notification_id
from scooters_ops.monitoring_notifications as notification
where
    notification.idempotency_token = scooters_ops.idempotency_token(
        recorded.mission_id, recorded.from_point_id, null, recorded.type
    );
"""


def fill(database: TestDatabase) -> None:
    """Fills an empty database."""
    cities = SQL(", ").join(map(Literal, HOSTILE)).as_string(database.connection)
    database.connection.execute(FORTNIGHT.replace("HOSTILE", cities))
    database.connection.execute("analyze")
