"""Passes: side by side with each other and with writers, the wake-ups and records that they leave,
their size, and pruning.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import TestDatabase, at, config, until
from tests.detection_rigs import (
    ADD_EVENTS,
    DETECT,
    STAY_AT_P1,
    TRAVEL_TO_P1,
    held_open,
    started,
    wakeups,
)

# --- Concurrent passes and writers ----------------------------------------------------------------


def test_a_second_pass_returns_0_at_once_and_nothing_is_lost(database: TestDatabase) -> None:
    started(database)
    with held_open(database) as passing:
        assert passing.execute(DETECT, (at(16),)).fetchone() == (1,)
        started(database, "m2")
        with database.connect() as second:
            second.execute("set statement_timeout = '1s'")
            assert second.execute(DETECT, (at(16),)).fetchone() == (0,)
        assert database.tokens() == []
        passing.commit()
    assert database.tokens() == [TRAVEL_TO_P1]
    assert database.detect(16) == 1
    assert database.tokens() == [TRAVEL_TO_P1, "m2_p1__timeout_between_points"]


def test_a_pass_that_is_rolled_back_loses_nothing(database: TestDatabase) -> None:
    started(database)
    with held_open(database) as passing:
        assert passing.execute(DETECT, (at(16),)).fetchone() == (1,)
    assert database.tokens() == []
    assert database.detect(16) == 1


def test_what_is_written_during_a_pass_is_left_to_the_next_pass(database: TestDatabase) -> None:
    started(database)
    with held_open(database) as passing:
        assert passing.execute(DETECT, (at(14),)).fetchone() == (0,)
        database.record("point_arrived", 2, "p1")
        passing.commit()
    assert database.detect(14) == 1
    assert database.tokens() == [STAY_AT_P1]


@pytest.mark.slow
def test_concurrent_passes_and_writers_lose_nothing_and_report_nothing_twice(
    database: TestDatabase,
) -> None:
    missions = [f"m{number}" for number in range(60)]

    def write(mission_id: str) -> None:
        with database.connect() as connection, connection.transaction():
            connection.execute(
                "select scooters_ops.create_mission(%s)",
                (
                    json.dumps(
                        {
                            "mission_id": mission_id,
                            "performer_id": "c1",
                            "points": [{"point_id": "p1", "eta_seconds": 600}],
                        }
                    ),
                ),
            )
            connection.execute(
                "select scooters_ops.record_event(%s, 'mission_started', null, %s)",
                (mission_id, at(0)),
            )

    def detect(_: int) -> int:
        with database.connect() as connection:
            row = connection.execute(DETECT, (at(16),)).fetchone()
            assert row is not None
            return int(row[0])

    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(write, mission_id) for mission_id in missions]
        passes = [pool.submit(detect, number) for number in range(60)]
        for written in writes:
            written.result()
        inserted = sum(passed.result() for passed in passes)
    inserted += database.detect(16)
    assert inserted == len(missions)
    assert database.tokens() == sorted(f"{m}_p1__timeout_between_points" for m in missions)


def test_a_pass_never_makes_writers_wait(database: TestDatabase) -> None:
    for mission_id in ("m1", "m2"):
        started(database, mission_id)
    with held_open(database) as passing:
        assert passing.execute(DETECT, (at(16),)).fetchone() == (2,)
        database.connection.execute("set lock_timeout = '500ms'")
        database.record("point_arrived", 17, "p1")
        database.record("mission_completed", 18, mission_id="m2")
        database.create_mission("m3")
        assert database.value("select scooters_ops.skip_job('m1', 'p2', 'j1')") is True
        database.connection.execute(
            ADD_EVENTS + "('m1', 'p1', 'point_completed', %s), ('m3', null, 'mission_started', %s)",
            (at(18), at(18)),
        )
        database.connection.execute("update scooters_ops.mission_points set eta = eta * 2")
        database.connection.execute("delete from scooters_ops.missions where mission_id = 'm2'")
        database.value("select scooters_ops.plan_deliveries(10)")
        database.value("select scooters_ops.prune_bookkeeping()")
        passing.commit()


def test_a_writer_never_makes_a_pass_wait(database: TestDatabase) -> None:
    started(database)
    with held_open(database) as writer:
        writer.execute(
            "select scooters_ops.record_event('m1', 'mission_completed', null, %s)", (at(30),)
        )
        writer.execute("select scooters_ops.skip_job('m1', 'p1', 'j1')")
        writer.execute("update scooters_ops.mission_points set eta = eta * 2")
        database.connection.execute("set lock_timeout = '500ms'")
        assert database.detect(16) == 1


def test_two_writers_of_the_same_missions_in_opposite_orders_do_not_wait_for_each_other(
    database: TestDatabase,
) -> None:
    missions = [f"m{number}" for number in range(10)]
    for mission_id in missions:
        database.create_mission(mission_id)
    batch = ADD_EVENTS + ", ".join(["(%s, null, 'mission_started', %s)"] * len(missions))
    with (
        held_open(database) as passing,
        held_open(database) as first,
        held_open(database) as second,
    ):
        passing.execute(DETECT, (at(-1),))
        for writer, order in ((first, missions), (second, missions[::-1])):
            writer.execute("set lock_timeout = '500ms'")
            writer.execute(batch, [part for name in order for part in (name, at(0))])
        for writer, order in ((first, missions[::-1]), (second, missions)):
            writer.execute(batch, [part for name in order for part in (name, at(1))])
        for connection in (passing, first, second):
            connection.commit()
    assert database.detect(16) == len(missions)


# --- The wake-ups that a pass leaves --------------------------------------------------------------


def test_a_pass_takes_all_wakeups_and_leaves_none_for_a_deadline(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 8, "p1")
    assert len(wakeups(database)) > 1
    database.detect(9)
    assert wakeups(database) == []


def test_a_mission_is_evaluated_only_if_it_changed(database: TestDatabase) -> None:
    started(database)
    for minutes in (1, 14, 16):
        database.detect(minutes)
    assert database.rows(
        "select missions, recorded, judged, inserted from scooters_ops.detection_passes"
        " order by pass_id"
    ) == [
        {"missions": 1, "recorded": 1, "judged": 0, "inserted": 0},
        {"missions": 0, "recorded": 0, "judged": 0, "inserted": 0},
        {"missions": 0, "recorded": 0, "judged": 1, "inserted": 1},
    ]


def test_a_pass_leaves_no_wakeup_if_nothing_can_become_overdue(database: TestDatabase) -> None:
    database.create_mission("not_started")
    started(database, "ended")
    database.record("mission_completed", 5, mission_id="ended")
    started(database, "reported")
    database.create_mission("at_the_last_point", points=1)
    database.record("mission_started", 0, mission_id="at_the_last_point")
    database.record("point_arrived", 1, "p1", "at_the_last_point")
    database.record("point_completed", 2, "p1", "at_the_last_point")
    database.detect(16)
    assert database.tokens() == ["reported_p1__timeout_between_points"]
    assert wakeups(database) == []


@pytest.mark.parametrize("minutes", [1, 20, 2 * 24 * 60])
def test_what_is_as_it_was_is_not_written_again(database: TestDatabase, minutes: float) -> None:
    """Intervals in time and overdue, reported or no news, open and closed."""
    for mission_id in ("m1", "m2", "m3"):
        started(database, mission_id)
    for mission_id in ("m2", "m3"):
        database.record("point_arrived", 0.5, "p1", mission_id=mission_id)
    database.record("point_completed", 0.7, "p1", mission_id="m3")
    database.detect(minutes)
    addresses = "select ctid::text from scooters_ops.recorded_intervals order by ctid"
    before = database.values(addresses)
    assert len(before) == 6
    database.value("select scooters_ops.wake_missions(%s)", ["m1", "m2", "m3"])
    database.detect(minutes)
    assert database.values(addresses) == before
    assert database.rows(
        "select missions, recorded from scooters_ops.detection_passes order by pass_id desc limit 1"
    ) == [{"missions": 3, "recorded": 0}]


def test_an_extra_wakeup_is_harmless(database: TestDatabase) -> None:
    started(database)
    database.connection.execute(
        "insert into scooters_ops.mission_wakeups"
        " select mission_id, due_at from (values ('m1'), ('nobody')) as mission (mission_id)"
        " cross join (values (timestamptz '-infinity'), (%s), (%s)) as due (due_at)",
        (at(0), at(10_000)),
    )
    assert database.detect(16) == 1
    assert wakeups(database) == []


@pytest.mark.parametrize("as_of", [None, "infinity", "-infinity"])
def test_a_pass_as_of_null_or_infinity_is_refused_and_changes_nothing(
    database: TestDatabase, as_of: str | None
) -> None:
    started(database)
    before = wakeups(database)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="as_of must be a finite time"):
        database.value("select scooters_ops.detect_timeouts(%s::timestamptz)", as_of)
    assert wakeups(database) == before
    assert database.detect(16) == 1


# --- The records of passes ------------------------------------------------------------------------


def test_each_pass_records_what_it_did(database: TestDatabase) -> None:
    started(database)
    started(database, "m2", 10)
    database.detect(16)
    database.detect(17)
    rows = database.rows(
        "select as_of, missions, inserted, started_at <= clock_timestamp() as is_past, elapsed"
        " from scooters_ops.detection_passes order by pass_id"
    )
    assert [(row["as_of"], row["missions"], row["inserted"]) for row in rows] == [
        (at(16), 2, 1),
        (at(17), 0, 0),
    ]
    assert all(row["is_past"] and row["elapsed"] > timedelta(0) for row in rows)


def test_a_pass_that_did_not_run_leaves_no_record(database: TestDatabase) -> None:
    with held_open(database) as passing:
        passing.execute(DETECT, (at(1),))
        database.detect(2)
        passing.commit()
    database.apply_config(detection__enabled=False)
    database.detect(3)
    assert database.values("select as_of from scooters_ops.detection_passes") == [at(1)]


def is_stalled(database: TestDatabase) -> bool:
    return bool(database.value("select is_stalled from scooters_ops.detection_status"))


def set_ages(database: TestDatabase, *, config: float, passes: float) -> None:
    """Makes configs and passes look as if they were applied and started so many seconds ago."""
    database.connection.execute(
        "update scooters_ops.configs set applied_at = now() - make_interval(secs => %s)", (config,)
    )
    database.connection.execute(
        "update scooters_ops.detection_passes set started_at = now() - make_interval(secs => %s)",
        (passes,),
    )


def test_detection_is_stalled_without_a_recent_pass(database: TestDatabase) -> None:
    database.detect(0)
    set_ages(database, config=1000, passes=179)
    assert not is_stalled(database)
    set_ages(database, config=1000, passes=181)
    assert is_stalled(database)
    database.detect(1)
    assert not is_stalled(database)


def test_detection_is_stalled_if_there_never_was_a_pass(database: TestDatabase) -> None:
    set_ages(database, config=179, passes=0)
    assert not is_stalled(database)
    set_ages(database, config=181, passes=0)
    assert is_stalled(database)


def test_detection_enabled_just_now_has_time_for_its_first_pass(database: TestDatabase) -> None:
    database.detect(0)
    database.apply_config(detection__enabled=False)
    set_ages(database, config=1000, passes=1000)
    assert not is_stalled(database)
    database.apply_config()
    assert not is_stalled(database)


def test_the_config_sets_after_how_long_detection_is_stalled(database: TestDatabase) -> None:
    database.detect(0)
    database.apply_config(detection__stalled_after_seconds=600)
    set_ages(database, config=1000, passes=599)
    assert not is_stalled(database)
    set_ages(database, config=1000, passes=601)
    assert is_stalled(database)


def test_detection_is_not_stalled_when_disabled_or_without_a_config(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__enabled=False)
    assert not is_stalled(database)
    database.connection.execute("delete from scooters_ops.configs")
    assert database.rows("select is_enabled, is_stalled from scooters_ops.detection_status") == [
        {"is_enabled": False, "is_stalled": False}
    ]


def test_detection_status_describes_the_last_pass(database: TestDatabase) -> None:
    started(database)
    before = datetime.now(UTC)
    database.detect(1)
    database.detect(16)
    after = datetime.now(UTC)
    (status,) = database.rows("select * from scooters_ops.detection_status")
    assert status["is_enabled"] is True
    assert (status["last_pass_missions"], status["last_pass_inserted"]) == (0, 1)
    assert before <= status["last_pass_at"] <= after
    assert status["last_pass_elapsed"] <= after - before
    assert [status[f"last_pass_{key}"] for key in ("recorded", "judged", "resolved")] == [0, 1, 0]
    assert (status["missions_waiting"], status["unrecorded_missions"]) == (0, [])
    database.record("point_arrived", 17, "p1")
    assert database.values("select missions_waiting from scooters_ops.detection_status") == [1]
    database.detect(18)
    (status,) = database.rows("select * from scooters_ops.detection_status")
    assert [status[f"last_pass_{key}"] for key in ("recorded", "judged", "resolved")] == [2, 0, 1]


def test_detection_status_names_who_holds_the_lock_and_who_waits_for_it(
    database: TestDatabase,
) -> None:
    def holder_and_waiters() -> tuple[str | None, str | None]:
        (row,) = database.rows(
            "select lock_holder, lock_waiters from scooters_ops.detection_status"
        )
        return row["lock_holder"], row["lock_waiters"]

    started(database)
    database.detect(16)
    with (
        held_open(database) as holder,
        database.connect() as pruner,
        ThreadPoolExecutor(1) as pool,
    ):
        holder.execute("set application_name = 'somebody''s psql'")
        holder.execute("select count(*) from scooters_ops.detection_lock")
        assert holder_and_waiters() == (None, None)  # a reader blocks nobody
        holder.execute("select scooters_ops.try_detection_lock()")
        assert database.detect(17) == 0
        held_by, waited_by = holder_and_waiters()
        assert held_by is not None
        assert held_by.startswith(f"pid {holder.info.backend_pid}, user postgres, somebody's psql")
        assert waited_by is None
        pruning = pool.submit(pruner.execute, "call scooters_ops.prune_in_batches()")
        until(lambda: holder_and_waiters()[1])
        assert f"pid {pruner.info.backend_pid}," in str(holder_and_waiters()[1])
        holder.rollback()
        pruning.result()
    assert holder_and_waiters() == (None, None)
    assert database.value("select count(*) from pg_locks where locktype = 'advisory'") == 0


# --- NOTIFY ---------------------------------------------------------------------------------------


def notified(connection: psycopg.Connection[Any]) -> int:
    """How many NOTIFYs arrived since the last call; a marker shows where to stop."""
    connection.execute("notify scooters_ops, 'mark'")
    for arrived, notification in enumerate(connection.notifies()):
        if notification.payload == "mark":
            return arrived
    raise AssertionError("the connection is gone")


def test_a_notifier_is_woken_only_when_there_is_work_for_it(database: TestDatabase) -> None:
    started(database)
    with database.connect() as listener:
        listener.execute("listen scooters_ops")
        assert database.detect(1) == 0
        assert database.detect(14) == 0
        assert database.value("select scooters_ops.retry_deliveries()") == 0
        assert database.value("select scooters_ops.release_deliveries('nobody')") == 0
        assert database.value("select scooters_ops.plan_deliveries(10)") == 0
        database.apply_config()
        assert notified(listener) == 0
        assert database.detect(16) == 1
        assert notified(listener) == 1
        assert database.detect(17) == 0
        assert database.value("select scooters_ops.skip_job('m1', 'p2', 'j1')") is True
        assert notified(listener) == 1
        assert database.value("select scooters_ops.skip_job('m1', 'p2', 'j1')") is False
        assert notified(listener) == 0


# --- Passes of a bounded size ---------------------------------------------------------------------

DETECT_IN_BATCHES = "call scooters_ops.detect_in_batches()"


def five_due(database: TestDatabase) -> None:
    """Missions m1 to m5, overdue, in passes of two missions."""
    database.apply_config(detection__batch_size=2, detection__notify_within_seconds=None)
    for number in range(1, 6):
        started(database, f"m{number}", -600)


def passes(database: TestDatabase) -> list[tuple[int, int, int]]:
    """The columns missions, inserted and still_due of every pass, in order."""
    rows = database.rows("select * from scooters_ops.recent_detection_passes order by pass_id")
    return [(row["missions"], row["inserted"], row["still_due"]) for row in rows]


def test_detect_timeouts_handles_everything_that_is_due(database: TestDatabase) -> None:
    five_due(database)
    assert database.detect(16) == 5
    # A pass that judged as many as it may is followed by one that records nothing.
    assert passes(database) == [(2, 2, 3), (0, 0, 3), (2, 2, 1), (0, 0, 1), (1, 1, 0)]


def test_a_mission_that_waits_to_be_recorded_is_not_judged(database: TestDatabase) -> None:
    """Its recorded interval is open and overdue, but it arrived in time."""
    for mission_id in ("m1", "m2"):
        started(database, mission_id)
    database.detect(1)
    database.record("point_arrived", 10, "p1", mission_id="m2")
    passes = "select inserted_count from scooters_ops.run_pass(%s, %s, 1)"
    assert database.value(passes, ["m1"], at(16)) == 1
    assert database.value(passes, ["m2"], at(16)) == 0
    assert database.tokens() == [TRAVEL_TO_P1]


def test_detect_in_batches_commits_each_pass(database: TestDatabase) -> None:
    five_due(database)
    with held_open(database) as elsewhere, database.connect() as caller:
        elsewhere.execute(
            "insert into scooters_ops.monitoring_notifications"
            " (idempotency_token, mission_id, type)"
            " values ('m3_p1__timeout_between_points', 'm3', 'timeout_between_points')"
        )
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(caller.execute, DETECT_IN_BATCHES)
            try:
                until(lambda: len(passes(database)) >= 2)
                assert not call.done()
                assert passes(database) == [(2, 2, 3), (0, 0, 3)]
                assert len(wakeups(database)) >= 3
            finally:
                elsewhere.rollback()
            call.result()
    assert passes(database) == [(2, 2, 3), (0, 0, 3), (2, 2, 1), (0, 0, 1), (1, 1, 0)]
    assert len(database.tokens()) == 5


def test_the_wakeups_of_a_failed_pass_are_taken_by_the_next(database: TestDatabase) -> None:
    five_due(database)
    database.connection.execute(
        "alter table scooters_ops.monitoring_notifications"
        " add constraint broken check (mission_id <> 'm3')"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        database.connection.execute(DETECT_IN_BATCHES)
    assert len(database.tokens()) == 2
    database.connection.execute(
        "alter table scooters_ops.monitoring_notifications drop constraint broken"
    )
    database.connection.execute(DETECT_IN_BATCHES)
    assert len(database.tokens()) == 5


def test_a_pass_with_nothing_due_leaves_a_record(database: TestDatabase) -> None:
    database.connection.execute(DETECT_IN_BATCHES)
    assert passes(database) == [(0, 0, 0)]


def test_a_second_concurrent_pass_ends_at_once(database: TestDatabase) -> None:
    five_due(database)
    with held_open(database) as passing:
        passing.execute(DETECT, (at(1),))
        database.connection.execute(DETECT_IN_BATCHES)
    assert passes(database) == []


def test_batches_cannot_run_within_a_transaction(database: TestDatabase) -> None:
    with (
        pytest.raises(psycopg.errors.InvalidTransactionTermination),
        database.connection.transaction(),
    ):
        database.connection.execute(DETECT_IN_BATCHES)


def test_a_changed_schedule_or_batch_size_wakes_no_mission(database: TestDatabase) -> None:
    database.create_mission()
    database.detect(1)
    assert wakeups(database) == []
    database.apply_config(
        detection__batch_size=7,
        detection__schedule="5 seconds",
        detection__stalled_after_seconds=60,
    )
    assert wakeups(database) == []


# --- Pruning --------------------------------------------------------------------------------------


def test_pruning_keeps_the_earliest_wakeup_of_each_mission(database: TestDatabase) -> None:
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    database.connection.execute(
        "insert into scooters_ops.mission_wakeups values"
        " ('m1', %(soon)s), ('m1', '-infinity'), ('m1', '-infinity'), ('m1', 'infinity'),"
        " ('m2', %(late)s), ('m2', %(soon)s), ('m3', 'infinity')",
        {"soon": at(1), "late": at(2)},
    )
    database.value("select scooters_ops.prune_bookkeeping()")
    assert wakeups(database) == [("m1", "-infinity"), ("m2", at(1)), ("m3", "infinity")]


def test_pruning_loses_nothing_that_a_pass_would_find(database: TestDatabase) -> None:
    database.apply_config(detection__enabled=False)
    started(database)
    for minutes in range(1, 30):
        database.record("point_arrived", minutes + 16, "p1")
    assert len(wakeups(database)) > 30
    database.value("select scooters_ops.prune_bookkeeping()")
    assert wakeups(database) == [("m1", "-infinity")]
    database.apply_config()
    assert database.detect(18) == 1


def test_pruning_leaves_wakeups_alone_during_a_pass(database: TestDatabase) -> None:
    started(database)
    with held_open(database) as passing:
        passing.execute(DETECT, (at(1),))
        database.record("point_arrived", 2, "p1")
        database.record("point_arrived", 2, "p1")
        database.connection.execute("set lock_timeout = '500ms'")
        before = wakeups(database)
        database.value("select scooters_ops.prune_bookkeeping()")
        assert wakeups(database) == before
        passing.commit()
    assert database.detect(16) == 1


def test_pruning_deletes_old_records_of_passes(
    database: TestDatabase,
) -> None:
    assert config()["retention"]["passes_seconds"] == 7 * 86400
    database.connection.execute(
        "insert into scooters_ops.detection_passes"
        " (as_of, started_at, elapsed, missions, inserted)"
        " select now(), now() - age, '1 second', 0, 0"
        " from unnest(array[interval '8 days', '6 days', '2 hours', '0']) as age"
    )
    count = "select count(*) from scooters_ops.detection_passes"
    database.value("select scooters_ops.prune_bookkeeping()")
    assert database.value(count) == 3
    database.apply_config(retention__passes_seconds=3600)
    database.value("select scooters_ops.prune_bookkeeping()")
    assert database.value(count) == 1
