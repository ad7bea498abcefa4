"""backfill_intervals: the intervals of missions that finished before an upgrade."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.conftest import TestDatabase, at, until
from tests.detection_rigs import STAY_AT_P1, TRAVEL_TO_P1, held_open, started

BACKFILL = "call scooters_ops.backfill_intervals('-infinity')"
DIFFERENCE = """
with recorded as (
    select mission_id, type, from_point_id, point_id, started_at, finished_at, time_limit
    from scooters_ops.interval_history
),

live as (
    select mission_id, type, from_point_id, point_id, started_at, finished_at, time_limit
    from scooters_ops.mission_intervals
)

select * from (table recorded except table live) as extra
union all
select * from (table live except table recorded) as missing
"""


def finished_missions(database: TestDatabase, count: int = 5) -> None:
    """Missions that were over, and reported or not, before passes recorded anything."""
    for number in range(1, count + 1):
        mission_id = f"m{number}"
        started(database, mission_id)
        database.record("point_arrived", 5 if number > 1 else 20, "p1", mission_id=mission_id)
        database.record("mission_completed", 30, mission_id=mission_id)
    forget(database)


def forget(database: TestDatabase) -> None:
    """Nothing is recorded, and nobody waits to be looked at."""
    database.connection.execute(
        "delete from scooters_ops.mission_wakeups; delete from scooters_ops.recorded_intervals"
    )


def recorded(database: TestDatabase) -> list[str]:
    return database.values(
        "select distinct mission_id from scooters_ops.recorded_intervals order by mission_id"
    )


def backfill(database: TestDatabase, since: Any = "-infinity") -> list[str]:
    """Calls it; returns what it says."""
    said: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        connection.execute("call scooters_ops.backfill_intervals(%s::timestamptz)", (since,))
    return said


def test_it_records_what_finished_says_how_far_it_is_and_pages_nobody(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__batch_size=2, detection__notify_within_seconds=None)
    finished_missions(database)
    assert database.rows(DIFFERENCE) != []
    assert backfill(database) == [
        "recorded 4 intervals of 2 missions",
        "recorded 8 intervals of 4 missions",
        "recorded 10 intervals of 5 missions",
    ]
    assert database.rows(DIFFERENCE) == []
    assert database.detect(60) == 0
    assert database.tokens() == []
    assert backfill(database) == []


def test_since_leaves_older_missions_out(database: TestDatabase) -> None:
    finished_missions(database, 2)
    database.connection.execute(
        "update scooters_ops.missions set created_at = %s where mission_id = 'm1'", (at(0),)
    )
    forget(database)
    backfill(database, at(1))
    assert recorded(database) == ["m2"]


def test_it_can_be_stopped_and_called_again(database: TestDatabase) -> None:
    """The second batch waits for a pass, and is cancelled."""
    database.apply_config(detection__batch_size=2)
    finished_missions(database)
    lock = "select scooters_ops.wait_for_detection_lock()"
    waiting = (
        "select pid from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock' and pid = %s"
    )
    with (
        held_open(database) as first,
        held_open(database) as second,
        database.connect() as session,
        ThreadPoolExecutor() as pool,
    ):
        first.execute(lock)
        backfilling = pool.submit(session.execute, BACKFILL)
        until(lambda: database.values(waiting, session.info.backend_pid))
        locking = pool.submit(second.execute, lock)
        until(lambda: database.values(waiting, second.info.backend_pid))
        first.rollback()
        locking.result()
        until(lambda: database.values(waiting, session.info.backend_pid))
        session.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            backfilling.result()
    assert recorded(database) == ["m1", "m2"]
    backfill(database)
    assert recorded(database) == ["m1", "m2", "m3", "m4", "m5"]
    assert database.rows(DIFFERENCE) == []


def test_passes_go_on_between_two_batches(database: TestDatabase) -> None:
    """A pass does not wait for the lock, so it would hardly ever find the moment between them."""
    database.apply_config(detection__batch_size=2, detection__notify_within_seconds=None)
    finished_missions(database)
    started(database, "m6")
    database.detect(1)
    database.connection.execute(
        "update scooters_ops.detection_passes set started_at = now() - interval '5 seconds'"
    )
    database.record("point_arrived", 2, "p1", mission_id="m6")
    passes = database.value("select count(*) from scooters_ops.detection_passes")
    backfill(database)
    assert recorded(database) == ["m1", "m2", "m3", "m4", "m5", "m6"]
    assert database.rows(DIFFERENCE) == []
    assert database.tokens() == ["m6_p1__timeout_in_point"]
    assert database.value("select count(*) from scooters_ops.detection_passes") > passes


@pytest.mark.parametrize("ago", ["an hour", "never", "disabled"])
def test_where_no_passes_have_been_running_it_runs_none(database: TestDatabase, ago: str) -> None:
    finished_missions(database)
    started(database, "m6")
    if ago != "never":
        database.detect(1)
        age = "1 hour" if ago == "an hour" else "5 seconds"
        database.connection.execute(
            "update scooters_ops.detection_passes set started_at = now() - %s::interval", (age,)
        )
    database.apply_config(detection__batch_size=2, detection__enabled=ago != "disabled")
    passes = database.value("select count(*) from scooters_ops.detection_passes")
    backfill(database)
    assert recorded(database)[:5] == ["m1", "m2", "m3", "m4", "m5"]
    assert database.value("select count(*) from scooters_ops.detection_passes") == passes


def test_a_mission_with_a_wakeup_is_left_to_its_pass_which_may_report_it(
    database: TestDatabase,
) -> None:
    finished_missions(database, 2)
    database.value("select scooters_ops.wake_missions('{m1}')")
    backfill(database)
    assert recorded(database) == ["m2"]
    assert database.detect(60) == 2
    assert recorded(database) == ["m1", "m2"]


def test_a_mission_that_changes_meanwhile_is_reported_by_its_pass(
    database: TestDatabase,
) -> None:
    """The writer commits after the mission was recorded and before the batch is committed."""
    finished_missions(database, 2)
    with held_open(database) as writer, database.connect() as session:
        writer.execute(
            "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)"
            " values ('m2', 'p1', 'point_completed', %s)",
            (at(25),),
        )
        session.execute(BACKFILL)
        writer.commit()
    assert recorded(database) == ["m1", "m2"]
    assert database.detect(60) == 1
    assert database.tokens() == ["m2_p1__timeout_in_point"]
    assert database.rows(DIFFERENCE) == []


def test_it_links_and_resolves_the_notifications_that_there_are(database: TestDatabase) -> None:
    started(database)
    assert database.detect(16) == 1
    database.record("point_arrived", 20, "p1")
    database.detect(21)
    assert database.detect(30) == 1
    database.record("mission_cancelled", 31)
    database.detect(32)
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set resolved_at = null, resolution = null"
    )
    forget(database)
    backfill(database)
    assert database.values(
        "select idempotency_token from scooters_ops.interval_history order by started_at"
    ) == [TRAVEL_TO_P1, STAY_AT_P1]
    assert database.values(
        "select resolution from scooters_ops.monitoring_notifications order by notification_id"
    ) == ["moved_on", "ended"]
    assert database.tokens() == [TRAVEL_TO_P1, STAY_AT_P1]


def test_it_links_a_notification_that_named_another_point(database: TestDatabase) -> None:
    """It was reported on the way to p1; the courier then arrived at p2."""
    started(database)
    assert database.detect(16) == 1
    database.record("point_arrived", 20, "p2")
    database.record("mission_completed", 21)
    forget(database)
    backfill(database)
    assert database.rows(
        "select point_id, idempotency_token from scooters_ops.interval_history"
        " where type = 'timeout_between_points'"
    ) == [{"point_id": "p2", "idempotency_token": TRAVEL_TO_P1}]


def test_it_skips_what_passes_recorded(database: TestDatabase) -> None:
    started(database)
    database.record("mission_completed", 40)
    assert database.detect(41) == 1
    before = database.rows("select * from scooters_ops.recorded_intervals")
    database.apply_config(detection__timeouts__timeout_between_points__factor=9)
    assert backfill(database) == []
    assert database.rows("select * from scooters_ops.recorded_intervals") == before


@pytest.mark.parametrize("role", ["operator", "analyst", "writer", "notifier"])
def test_only_the_owner_may_call_it(database: TestDatabase, role: str) -> None:
    with (
        database.connect(role=f"scooters_ops_{role}") as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute(BACKFILL)


def test_it_cannot_run_within_a_transaction(database: TestDatabase) -> None:
    finished_missions(database, 1)
    with (
        database.connection.transaction(force_rollback=True),
        pytest.raises(psycopg.errors.InvalidTransactionTermination),
    ):
        database.connection.execute(BACKFILL)
