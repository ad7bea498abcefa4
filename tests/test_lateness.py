"""What is known later of how an interval was recorded and noticed: by which config, since when the
database knew of it, by which pass, how long after its limit, and what delayed that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import TestDatabase
from tests.detection_rigs import DETECT

MINUTE = timedelta(minutes=1)
LIMIT = 15 * MINUTE  # of the travel to each point
HISTORY = (
    "select known_at, seen_at, config_id from scooters_ops.interval_history where mission_id = %s"
)
NOTICED = (
    "select config_id, known_at, noticed_after, late_because from scooters_ops.notifications"
    " where mission_id = %s"
)


def started(database: TestDatabase, ago: timedelta, mission_id: str = "m1") -> Any:
    """A mission whose start is reported now, and was so long ago; returns the time of the start."""
    database.create_mission(mission_id)
    return record(database, ago, mission_id, "mission_started")


def record(
    database: TestDatabase, ago: timedelta, mission_id: str, type: str, point_id: str | None = None
) -> Any:
    return database.value(
        "with event as (select now() - %s::interval as occurred_at)"
        " select occurred_at from event, scooters_ops.record_event(%s, %s, %s, occurred_at)",
        ago,
        mission_id,
        type,
        point_id,
    )


def passed(database: TestDatabase, after: timedelta = timedelta(0)) -> Any:
    """A pass as of so much later than now; returns its time."""
    as_of = database.value("select now() + %s::interval", after)
    database.value(DETECT, as_of)
    return as_of


def noticed(database: TestDatabase, mission_id: str = "m1") -> dict[str, Any]:
    (row,) = database.rows(NOTICED, mission_id)
    return row


def test_what_is_noticed_by_the_first_pass_after_its_limit_is_not_late(
    database: TestDatabase,
) -> None:
    start = started(database, 14 * MINUTE)
    first = passed(database)
    (row,) = database.rows(HISTORY, "m1")
    assert row["seen_at"] == first
    assert start < row["known_at"] <= first
    assert row["config_id"] == database.value("select config_id from scooters_ops.config_in_force")
    second = passed(database, 2 * MINUTE)
    assert noticed(database) == {
        "config_id": row["config_id"],
        "known_at": row["known_at"],
        "noticed_after": second - start - LIMIT,
        "late_because": None,
    }
    assert database.rows(HISTORY, "m1") == [{**row, "seen_at": second}]


def test_an_event_that_came_late_is_the_reason(database: TestDatabase) -> None:
    start = started(database, 60 * MINUTE)
    as_of = passed(database)
    row = noticed(database)
    assert row["noticed_after"] == as_of - start - LIMIT
    assert row["late_because"] == "event_late"
    # Also where what came late was the point to which he was on the way.
    started(database, 16 * MINUTE, "m2")
    database.connection.execute(
        "update scooters_ops.mission_points set eta = '1 hour' where mission_id = 'm2'"
    )
    passed(database)
    database.connection.execute(
        "update scooters_ops.mission_points set eta = '1 minute' where mission_id = 'm2'"
    )
    passed(database)
    assert noticed(database, "m2")["late_because"] == "event_late"


def test_the_end_of_an_interval_does_not_make_its_beginning_known_later(
    database: TestDatabase,
) -> None:
    started(database, 10 * MINUTE)
    passed(database)
    (before,) = database.rows(HISTORY, "m1")
    record(database, MINUTE, "m1", "point_arrived", "p1")
    passed(database)
    travel = database.rows(HISTORY + " and type = 'timeout_between_points'", "m1")
    assert travel[0]["known_at"] == before["known_at"] < travel[0]["seen_at"]


def test_of_several_changes_since_the_last_pass_the_first_counts(database: TestDatabase) -> None:
    started(database, 10 * MINUTE)
    record(database, MINUTE, "m1", "point_arrived", "p1")
    first = database.value(
        "update scooters_ops.mission_wakeups set woken_at = woken_at - interval '5 minutes'"
        " where ctid = (select min(ctid) from scooters_ops.mission_wakeups) returning woken_at"
    )
    passed(database)
    assert {row["known_at"] for row in database.rows(HISTORY, "m1")} == {first}


def test_passes_that_did_not_run_are_the_reason(database: TestDatabase) -> None:
    started(database, 14 * MINUTE)
    passed(database, 10 * MINUTE)
    assert noticed(database)["late_because"] == "detection_down"
    # Even if an event came a little late as well.
    started(database, 17 * MINUTE, "m2")
    passed(database, 10 * MINUTE)
    assert noticed(database, "m2")["late_because"] == "detection_down"


def test_a_config_that_shortens_a_limit_or_enables_a_type_is_the_reason(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__timeouts__timeout_between_points__factor=10)
    started(database, 60 * MINUTE)
    passed(database)
    between = "detection__timeouts__timeout_between_points__"
    database.apply_config(**{between + "factor": 1.5, between + "enabled": False})
    started(database, 30 * MINUTE, "m2")
    passed(database)
    assert database.rows(NOTICED, "m1") == []
    database.apply_config()
    passed(database)
    assert noticed(database)["late_because"] == "config_changed"
    assert noticed(database, "m2")["late_because"] == "config_changed"
    # Another config has nothing to do with it.
    started(database, 14 * MINUTE, "m3")
    passed(database)
    database.apply_config(notifier__poll_seconds=7)
    passed(database, 20 * MINUTE)
    assert noticed(database, "m3")["late_because"] == "detection_down"


def test_a_config_is_the_reason_whatever_else_came_before_the_next_pass(
    database: TestDatabase,
) -> None:
    between = "detection__timeouts__timeout_between_points__"
    within = {"detection__notify_within_seconds": 600}
    database.apply_config(**{between + "factor": 10})
    started(database, 60 * MINUTE, "m1")
    started(database, 60 * MINUTE, "m2")
    passed(database)
    # An event that changes nothing, and another config.
    record(database, 59 * MINUTE, "m2", "mission_started")
    database.apply_config(**{between + "enabled": False})
    database.apply_config()
    database.apply_config(notifier__poll_seconds=7)
    passed(database)
    assert noticed(database, "m1")["late_because"] == "config_changed"
    assert noticed(database, "m2")["late_because"] == "config_changed"
    # A config that enables what was disabled, and another one after it.
    database.apply_config(**{between + "enabled": False})
    started(database, 30 * MINUTE, "m3")
    passed(database)
    database.apply_config()
    database.apply_config(notifier__poll_seconds=7)
    passed(database)
    assert noticed(database, "m3")["late_because"] == "config_changed"
    # A config that makes news of what was history.
    database.apply_config(**within)
    started(database, 60 * MINUTE, "m4")
    passed(database)
    assert database.rows(NOTICED, "m4") == []
    database.apply_config()
    passed(database)
    assert noticed(database, "m4")["late_because"] == "config_changed"


def test_a_config_is_not_the_reason_if_the_limit_before_it_had_passed_too(
    database: TestDatabase,
) -> None:
    started(database, 14 * MINUTE)
    passed(database)
    database.connection.execute(
        "set session_replication_role = replica;"
        "update scooters_ops.missions_history set occurred_at = occurred_at - interval '1 hour';"
        "update scooters_ops.recorded_intervals set started_at = started_at - interval '1 hour',"
        " deadline = deadline - interval '1 hour', known_at = known_at - interval '1 hour';"
        "reset session_replication_role"
    )
    database.apply_config(detection__timeouts__timeout_between_points__factor=1.2)
    passed(database)
    assert noticed(database)["late_because"] == "detection_down"


@pytest.mark.parametrize("column", ["known_at", "config_id"])
def test_what_an_earlier_version_recorded_has_no_reason_and_is_noticed_all_the_same(
    database: TestDatabase, column: str
) -> None:
    started(database, 10 * MINUTE)
    passed(database)
    database.connection.execute(
        f"update scooters_ops.recorded_intervals set {column} = null".encode()
    )
    passed(database, 60 * MINUTE)
    row = noticed(database)
    assert row["noticed_after"] > 50 * MINUTE
    assert row["late_because"] == (None if column == "known_at" else "detection_down")


def test_a_skip_has_its_config_and_no_limit_and_planning_names_its_config(
    database: TestDatabase,
) -> None:
    database.create_mission("m1")
    before = database.value("select config_id from scooters_ops.config_in_force")
    database.value("select scooters_ops.skip_job('m1', 'p1', 'j1')")
    after = database.apply_config(notifier__poll_seconds=7)
    database.value("select scooters_ops.plan_deliveries(10)")
    assert database.rows(
        "select config_id, planned_config_id, noticed_after, late_because"
        " from scooters_ops.notifications"
    ) == [
        {
            "config_id": before,
            "planned_config_id": database.value(
                "select config_id from scooters_ops.config_in_force"
            ),
            "noticed_after": None,
            "late_because": None,
        }
    ]
    assert after is None or after > before
