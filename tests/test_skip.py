"""skip_job: the job is marked and notified once, in one transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.conftest import TestDatabase

SKIP = "select scooters_ops.skip_job(%s, %s, %s)"


def test_the_first_skip_marks_the_job_and_inserts_its_notification(database: TestDatabase) -> None:
    database.create_mission(attributes={"city": "Moscow"})

    assert database.value(SKIP, "m1", "p2", "j1") is True

    assert database.tokens() == ["m1_p2_j1_job_skipped"]
    assert (
        database.value("select status from scooters_ops.mission_jobs where point_id = 'p2'")
        == "skipped"
    )
    details = database.value("select details from scooters_ops.monitoring_notifications")
    assert details["job_type"] == "battery_exchange"
    assert details["attributes"] == {"city": "Moscow"}
    assert (details["point_position"], details["points_total"]) == (2, 3)
    assert database.rows(
        "select mission_id, point_id, job_id, type::text, completed"
        " from scooters_ops.monitoring_notifications"
    ) == [
        {
            "mission_id": "m1",
            "point_id": "p2",
            "job_id": "j1",
            "type": "job_skipped",
            "completed": False,
        }
    ]


def test_a_second_skip_returns_false_and_notifies_nobody(database: TestDatabase) -> None:
    database.create_mission()
    assert database.value(SKIP, "m1", "p1", "j1") is True
    assert database.value(SKIP, "m1", "p1", "j1") is False
    assert database.tokens() == ["m1_p1_j1_job_skipped"]


def test_only_one_of_twenty_concurrent_skips_returns_true(database: TestDatabase) -> None:
    database.create_mission()

    def skip(_: int) -> bool:
        with database.connect() as connection:
            row = connection.execute(SKIP, ("m1", "p1", "j1")).fetchone()
            assert row is not None
            return bool(row[0])

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(skip, range(20)))

    assert sorted(answers) == [False] * 19 + [True]
    assert database.tokens() == ["m1_p1_j1_job_skipped"]


def test_a_skip_that_is_rolled_back_leaves_nothing(database: TestDatabase) -> None:
    database.create_mission()
    with database.connection.transaction(force_rollback=True):
        assert database.value(SKIP, "m1", "p1", "j1") is True
    assert database.tokens() == []
    assert database.value(SKIP, "m1", "p1", "j1") is True


def test_an_unknown_job_is_refused_with_its_name(database: TestDatabase) -> None:
    database.create_mission()
    with pytest.raises(psycopg.errors.NoDataFound) as refusal:
        database.value(SKIP, "m1", "p1", "j9")
    assert refusal.value.diag.message_primary == 'no job "j9" at point "p1" of mission "m1"'
    assert database.tokens() == []


def test_a_completed_job_cannot_be_skipped(database: TestDatabase) -> None:
    database.create_mission()
    database.connection.execute("update scooters_ops.mission_jobs set status = 'completed'")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refusal:
        database.value(SKIP, "m1", "p1", "j1")
    assert refusal.value.diag.message_primary == (
        'job "j1" at point "p1" of mission "m1" is completed: it cannot be skipped'
    )
    assert database.tokens() == []
