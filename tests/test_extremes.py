"""Extreme plans and times: arithmetic saturates, what cannot be represented is left out, and other
missions are not affected."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.database.values import Notification
from notifier.web.board.answers import Board, MissionStory
from tests.conftest import TestDatabase, at

pytestmark = pytest.mark.slow

LONGEST = timedelta(seconds=315576000000)
A_YEAR_AND_A_DAY = timedelta(days=366)
LAST_MOMENTS = (
    "9999-12-31 23:59:59.999999+00",
    "9999-12-31 00:00:00+00",
    "9998-06-01 00:00:00+00",
    "1970-01-01 00:00:00+00",
)


def planned(
    database: TestDatabase, mission_id: str, points: int, started_at: str, eta: str = "366 days"
) -> None:
    """A mission on the way to its last point, past all others."""
    database.connection.execute(
        "insert into scooters_ops.missions (mission_id, performer_id, status)"
        " values (%s, 'c1', 'active')",
        (mission_id,),
    )
    database.connection.execute(
        "insert into scooters_ops.mission_points (mission_id, point_id, position, eta)"
        " select %s, 'p' || n, n, %s::interval from generate_series(1, %s) as n",
        (mission_id, eta, points),
    )
    database.connection.execute(
        "insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, status)"
        " select %s, 'p' || n, 'j', 'pickup', 'skipped' from generate_series(1, %s) as n",
        (mission_id, points - 1),
    )
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, type, occurred_at)"
        " values (%s, 'mission_started', %s)",
        (mission_id, started_at),
    )


def factor(database: TestDatabase, value: float) -> None:
    database.apply_config(detection__timeouts__timeout_between_points__factor=value)


def interval(database: TestDatabase, as_of: str = "now") -> dict[str, Any]:
    (row,) = database.rows(
        "select eta, time_limit, deadline, elapsed, is_open, is_overdue"
        " from scooters_ops.mission_intervals_at(%s)",
        as_of,
    )
    return row


def test_a_limit_is_cut_off_at_the_longest_duration_and_is_never_zero(
    database: TestDatabase,
) -> None:
    factor(database, 100)
    planned(database, "m1", 3000, "2020-01-01 00:00:00+00")  # 300,000 years of limit
    assert interval(database) | {"elapsed": None} == {
        "eta": 3000 * A_YEAR_AND_A_DAY,
        "time_limit": LONGEST,
        "deadline": None,
        "elapsed": None,
        "is_open": True,
        "is_overdue": False,
    }
    assert database.value("select scooters_ops.detect_timeouts()") == 0
    assert database.value("select count(*) from scooters_ops.mission_wakeups") == 0


def test_a_sum_of_etas_is_cut_off_at_the_longest_duration(
    database: TestDatabase,
) -> None:
    """More than 292,471 years, in microseconds."""
    points = 300_000
    database.connection.execute("set session_replication_role = replica")
    database.connection.execute(
        "insert into scooters_ops.missions (mission_id, performer_id) values ('m1', 'c1')"
    )
    database.connection.execute(
        "insert into scooters_ops.mission_points (mission_id, point_id, position, eta)"
        " select 'm1', 'p' || n, n, interval '8784 hours' from generate_series(1, %s) as n",
        (points,),
    )
    database.connection.execute(
        "insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, eta)"
        " select 'm1', 'p1', 'j' || n, 'pickup', interval '8784 hours'"
        " from generate_series(1, %s) as n",
        (points,),
    )
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)"
        f" values ('m1', null, 'mission_started', %s), ('m1', 'p{points}', 'point_arrived', %s)",
        (at(0), at(1)),
    )
    database.connection.execute("analyze scooters_ops.mission_points, scooters_ops.mission_jobs")
    assert database.values("select dwell_eta from scooters_ops.mission_stops") == [LONGEST]
    assert database.values(
        "select eta from scooters_ops.mission_intervals"
        " where mission_id = 'm1' and type = 'timeout_between_points'"
    ) == [LONGEST]


@pytest.mark.parametrize("moment", LAST_MOMENTS)
@pytest.mark.parametrize("as_of", ["infinity", "294276-12-31 23:59:59+00", "9999-12-31", "now"])
def test_an_event_at_the_end_of_time_can_be_evaluated_as_of_any_time(
    database: TestDatabase, moment: str, as_of: str
) -> None:
    planned(database, "m1", 2, moment)
    rows = database.rows(
        "select deadline, elapsed, is_overdue from scooters_ops.mission_intervals_at(%s)", as_of
    )
    for row in rows:
        assert timedelta() <= row["elapsed"] <= LONGEST
        assert row["deadline"] is None or row["deadline"] < datetime(9999, 12, 31, tzinfo=UTC)
    if as_of == "infinity":
        assert [row["is_overdue"] for row in rows] == [True]


def test_no_mission_stops_a_pass_as_of_any_time(
    database: TestDatabase,
) -> None:
    factor(database, 100)
    planned(database, "far", 3000, "2026-01-01 00:00:00+00")
    planned(database, "late", 2, "9999-12-31 23:59:59.999999+00")
    for number in range(50):
        database.create_mission(f"m{number}", eta_minutes=0.01)
        database.record("mission_started", 0, mission_id=f"m{number}")
    assert database.detect(60) == 50
    assert database.value("select scooters_ops.detect_timeouts('9999-12-31 23:59:59Z')") == 0
    assert database.value("select scooters_ops.detect_timeouts('294276-12-31 23:59:59Z')") == 0


def test_the_board_and_the_page_of_a_mission_show_extreme_missions(database: TestDatabase) -> None:
    database.connection.execute("set timezone = 'Asia/Kamchatka'")
    factor(database, 100)
    planned(database, "far", 3000, "2020-01-01 00:00:00+00")
    planned(database, "near", 2, "2020-01-01 00:00:00+00")
    database.record("mission_started", -60, mission_id=database.create_mission("m1"))
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)"
        " values ('far', 'p1', 'point_arrived', '9999-12-31 23:59:59.999999Z')"
    )
    assert database.value("select scooters_ops.detect_timeouts(%s)", at(0)) == 0
    database.connection.execute(
        "insert into scooters_ops.monitoring_notifications"
        " (idempotency_token, mission_id, type, details) values ('odd', 'm1', 'timeout_in_point',"
        ' \'{"performer_id": "c1", "attributes": [], "started_at": "+12026-01-01T00:00:00+00:00",'
        ' "eta_seconds": 1e300, "factor": 1, "limit_seconds": 1e300, "elapsed_seconds": "long"}\')'
    )
    board = Board.model_validate(database.value("select scooters_ops.board(as_of => %s)", at(0)))
    assert {mission.mission_id for mission in board.missions} == {"far", "near", "m1"}
    odd = next(each for each in board.notifications if each.token == "odd")
    assert (odd.details.started_at, odd.details.limit, odd.details.attributes) == (None, None, {})
    assert odd.details.performer_id == "c1"
    story = MissionStory.model_validate(
        database.value("select scooters_ops.board_mission('far', %s)", at(0))
    )
    assert [interval.deadline for interval in story.intervals] == [None]
    assert len(story.events) == 2


def test_facts_that_python_cannot_represent_are_left_out() -> None:
    details = {
        "performer_id": "c1",
        "started_at": "12026-01-01T00:00:00+00:00",
        "finished_at": None,
        "limit_seconds": 1e300,
        "elapsed_seconds": 60,
        "eta_seconds": float("nan"),
    }
    facts = Notification("t", "timeout_in_point", "m1", "p1", None, details).facts()
    assert (facts["started_at"], facts["limit"], facts["eta"]) == (None, None, None)
    assert facts["elapsed"] == timedelta(minutes=1)
    assert "over" not in facts


SECONDS = st.one_of(st.just(0), st.integers(1, 31_622_400), st.just(31_622_400))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    points=st.integers(1, 400),
    eta=SECONDS,
    ratio=st.sampled_from([1, 1.5, 99.9, 100]),
    started=st.one_of(
        st.datetimes(datetime(1970, 1, 1), datetime(1971, 1, 1)),
        st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
        st.datetimes(datetime(9900, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)),
    ),
    lasted=st.one_of(st.integers(0, 10**9), st.integers(2**38, 2**43)),
)
def test_near_the_limits_the_view_agrees_with_exact_arithmetic(
    database: TestDatabase, points: int, eta: int, ratio: float, started: datetime, lasted: int
) -> None:
    """In whole seconds, which Python counts without limit; as_of may be the last timestamptz."""
    start = started.replace(microsecond=0, tzinfo=UTC)
    with database.connection.transaction(force_rollback=True):
        factor(database, ratio)
        planned(database, "m1", points, start.isoformat(), eta=f"{eta} seconds")
        limit = min(points * eta * ratio, LONGEST.total_seconds())
        epoch = (start - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        as_of = min(epoch + lasted, 9.2e12)
        (row,) = database.rows(
            "select extract(epoch from time_limit)::float as time_limit,"
            " extract(epoch from elapsed)::float as elapsed, is_overdue,"
            " extract(epoch from deadline)::float as deadline"
            " from scooters_ops.mission_intervals_at(to_timestamp(%s))",
            as_of,
        )
        assert row["time_limit"] == pytest.approx(limit, rel=1e-12, abs=1e-5)
        assert row["elapsed"] == pytest.approx(
            min(as_of - epoch, LONGEST.total_seconds()), rel=1e-12, abs=1e-3
        )
        if abs(as_of - epoch - limit) > 1e-2:
            assert row["is_overdue"] == (as_of - epoch > limit)
        end = 253402214400  # 9999-12-31
        if abs(epoch + limit - end) > 1e-2:
            assert (row["deadline"] is None) == (epoch + limit >= end)
        database.value("select scooters_ops.detect_timeouts(to_timestamp(%s))", as_of)
        json.dumps(database.value("select scooters_ops.board(as_of => to_timestamp(%s))", as_of))
