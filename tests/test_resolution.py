"""Resolution: when a notification's interval is over, and why."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import TestDatabase, at
from tests.detection_rigs import (
    ADD_EVENTS,
    STAY_AT_P1,
    TRAVEL_TO_P1,
    TRAVEL_TO_P2,
    held_open,
    started,
)


def resolved(database: TestDatabase) -> dict[str, tuple[Any, Any]]:
    """Each notification's resolved_at and resolution."""
    return {
        row["idempotency_token"]: (row["resolved_at"], row["resolution"])
        for row in database.rows(
            "select idempotency_token, resolved_at, resolution"
            " from scooters_ops.monitoring_notifications"
        )
    }


def reported(database: TestDatabase) -> int:
    """A mission on its way to p1 that was reported; returns the history_id of its start."""
    database.create_mission()
    history_id = database.record("mission_started", 0)
    assert database.detect(16) == 1
    assert resolved(database) == {TRAVEL_TO_P1: (None, None)}
    return history_id


def test_the_next_event_resolves_a_notification(database: TestDatabase) -> None:
    reported(database)
    database.record("point_arrived", 20, "p1")
    assert database.detect(21) == 0
    assert resolved(database) == {TRAVEL_TO_P1: (at(21), "moved_on")}
    assert (
        database.value(
            "select resolved from scooters_ops.detection_passes where as_of = %s", at(21)
        )
        == 1
    )


@pytest.mark.parametrize("end", ["mission_completed", "mission_cancelled"])
def test_the_end_of_the_mission_resolves_a_notification(database: TestDatabase, end: str) -> None:
    reported(database)
    database.record(end, 20)
    database.detect(21)
    assert resolved(database) == {TRAVEL_TO_P1: (at(21), "ended")}


def test_a_status_that_ends_the_mission_without_an_event_resolves_a_notification(
    database: TestDatabase,
) -> None:
    reported(database)
    database.connection.execute("update scooters_ops.missions set status = 'cancelled'")
    database.detect(21)
    assert resolved(database) == {TRAVEL_TO_P1: (at(21), "ended")}


def test_a_deleted_event_withdraws_a_notification(database: TestDatabase) -> None:
    history_id = reported(database)
    database.connection.execute(
        "delete from scooters_ops.missions_history where history_id = %s", (history_id,)
    )
    database.detect(21)
    assert resolved(database) == {TRAVEL_TO_P1: (at(21), "withdrawn")}


def test_a_late_end_before_the_interval_began_withdraws_a_notification(
    database: TestDatabase,
) -> None:
    started(database)
    database.record("point_arrived", 5, "p1")
    assert database.detect(20) == 1
    database.record("mission_cancelled", 4)
    database.detect(21)
    assert resolved(database)[STAY_AT_P1][0] == at(21)
    assert database.values("select type::text from scooters_ops.recorded_intervals") == [
        "timeout_between_points"
    ]


def test_an_interval_that_leads_to_another_point_stays_unresolved(database: TestDatabase) -> None:
    """It began at the same event, so it is the same interval: nobody is told twice."""
    reported(database)
    database.connection.execute("delete from scooters_ops.mission_points where point_id = 'p1'")
    assert database.detect(40) == 0
    assert resolved(database) == {TRAVEL_TO_P1: (None, None)}
    database.record("point_arrived", 41, "p2")
    assert database.detect(42) == 0
    assert resolved(database) == {TRAVEL_TO_P1: (at(42), "moved_on")}


def test_an_interval_that_comes_back_under_another_point_is_not_reported_again(
    database: TestDatabase,
) -> None:
    history_id = reported(database)
    database.connection.execute(
        "delete from scooters_ops.missions_history where history_id = %s", (history_id,)
    )
    database.detect(17)
    database.connection.execute("delete from scooters_ops.mission_points where point_id = 'p1'")
    database.record("mission_started", 0)
    assert database.detect(40) == 0
    assert resolved(database) == {TRAVEL_TO_P1: (at(17), "withdrawn")}
    assert database.values("select idempotency_token from scooters_ops.interval_history") == [
        TRAVEL_TO_P1
    ]


def test_an_open_interval_is_not_resolved_by_time(database: TestDatabase) -> None:
    reported(database)
    assert database.detect(600) == 0
    assert resolved(database) == {TRAVEL_TO_P1: (None, None)}


def test_a_notification_of_a_closed_interval_is_resolved_at_once(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 20, "p1")
    database.record("mission_completed", 40)
    assert database.detect(41) == 2
    assert resolved(database) == {
        TRAVEL_TO_P1: (at(41), "moved_on"),
        STAY_AT_P1: (at(41), "ended"),
    }


def test_what_was_resolved_stays_resolved(database: TestDatabase) -> None:
    reported(database)
    history_id = database.record("point_arrived", 20, "p1")
    database.detect(21)
    database.connection.execute(
        "delete from scooters_ops.missions_history where history_id = %s", (history_id,)
    )
    assert database.detect(22) == 0
    assert database.value(
        "select finished_at is null and notification_id is not null"
        " from scooters_ops.recorded_intervals"
    )
    database.record("mission_cancelled", 30)
    database.detect(31)
    assert resolved(database) == {TRAVEL_TO_P1: (at(21), "moved_on")}


def test_a_notification_that_another_session_has_locked_waits_for_the_next_pass(
    database: TestDatabase,
) -> None:
    reported(database)
    database.create_mission("m2")
    database.record("mission_started", 0, mission_id="m2")
    database.detect(17)
    for mission_id in ("m1", "m2"):
        database.record("point_arrived", 20, "p1", mission_id=mission_id)
    other = TRAVEL_TO_P1.replace("m1", "m2")
    with held_open(database) as notifier:
        notifier.execute(
            "select from scooters_ops.monitoring_notifications where mission_id = 'm1' for update"
        )
        database.connection.execute("set lock_timeout = '1ms'")
        database.detect(21)
        assert resolved(database) == {
            TRAVEL_TO_P1: (None, None),
            other: (at(21), "moved_on"),
        }
    database.detect(22)
    assert resolved(database)[TRAVEL_TO_P1] == (at(22), "moved_on")
    assert database.value("select count(*) from scooters_ops.pending_resolutions") == 0


def test_a_notification_that_was_deleted_meanwhile_leaves_nothing_pending(
    database: TestDatabase,
) -> None:
    reported(database)
    with held_open(database) as other:
        other.execute("delete from scooters_ops.monitoring_notifications")
        database.record("point_arrived", 20, "p1")
        database.detect(20.5)
        other.commit()
    database.detect(21)
    assert database.value("select count(*) from scooters_ops.pending_resolutions") == 0


def test_a_skipped_job_is_never_resolved(database: TestDatabase) -> None:
    started(database)
    database.value("select scooters_ops.skip_job('m1', 'p1', 'j1')")
    database.record("mission_completed", 10)
    database.detect(20)
    assert resolved(database) == {"m1_p1_j1_job_skipped": (None, None)}


def test_a_pass_as_of_an_earlier_time_resolves_nothing_that_is_open_by_then(
    database: TestDatabase,
) -> None:
    reported(database)
    database.record("point_arrived", 20, "p1")
    database.detect(18)
    assert resolved(database) == {TRAVEL_TO_P1: (None, None)}
    database.detect(21)
    assert resolved(database) == {TRAVEL_TO_P1: (at(21), "moved_on")}


def test_a_repeated_event_at_the_moment_of_the_end_is_not_what_closed_the_interval(
    database: TestDatabase,
) -> None:
    """Apps send what they had queued with one timestamp."""
    started(database)
    database.record("point_arrived", 5, "p1")
    assert database.detect(20) == 1
    database.record("point_arrived", 30, "p1")
    database.record("mission_completed", 30)
    database.detect(31)
    assert resolved(database) == {STAY_AT_P1: (at(31), "ended")}


def test_what_waited_for_a_locked_notification_is_resolved_by_what_is_recorded_then(
    database: TestDatabase,
) -> None:
    """m1 goes on; the end of m2 replaces its arrival; nothing is left of m3."""
    for mission_id in ("m1", "m2", "m3"):
        started(database, mission_id)
    assert database.detect(16) == 3
    with held_open(database) as notifier:
        notifier.execute("select from scooters_ops.monitoring_notifications for update")
        for mission_id in ("m1", "m2", "m3"):
            database.record("point_arrived", 20, "p1", mission_id=mission_id)
        database.detect(21)
        database.connection.execute(
            "delete from scooters_ops.missions_history"
            " where type = 'point_arrived' or mission_id = 'm3'"
        )
        database.record("mission_completed", 22, mission_id="m2")
        database.detect(23)
        assert {row for row, _ in resolved(database).values()} == {None}
    database.detect(24)
    tokens = [TRAVEL_TO_P1.replace("m1", mission_id) for mission_id in ("m1", "m2", "m3")]
    outcomes = [(None, None), (at(24), "ended"), (at(24), "withdrawn")]
    assert resolved(database) == dict(zip(tokens, outcomes, strict=True))
    assert database.value("select count(*) from scooters_ops.pending_resolutions") == 0
    database.record("point_arrived", 30, "p1")
    database.detect(31)
    assert resolved(database)[TRAVEL_TO_P1] == (at(31), "moved_on")


def test_of_two_intervals_to_one_point_a_notification_tells_of_the_one_that_goes_on(
    database: TestDatabase,
) -> None:
    """An app that reports the start of the mission late: it is on its way to p2 since then."""
    database.create_mission()
    database.record("point_arrived", 0, "p1")
    database.record("point_completed", 1, "p1")
    database.record("mission_started", 30)
    assert database.detect(60) == 1
    assert resolved(database) == {TRAVEL_TO_P2: (None, None)}
    assert (
        database.value("select details -> 'finished_at' from scooters_ops.monitoring_notifications")
        is None
    )
    database.record("mission_completed", 61)
    database.detect(62)
    assert resolved(database) == {TRAVEL_TO_P2: (at(62), "ended")}


# --- Reported by an earlier version ---------------------------------------------------------------


def forget_recording(database: TestDatabase) -> None:
    """As the database was before the upgrade: notifications, but nothing recorded."""
    database.connection.execute(
        "delete from scooters_ops.recorded_intervals;"
        " delete from scooters_ops.mission_wakeups;"
        " update scooters_ops.monitoring_notifications"
        " set resolved_at = null, resolution = null;"
        " update scooters_ops.detection_passes set recorded = null, judged = null, resolved = null"
    )


def test_an_upgrade_tells_nothing_twice_and_resolves_what_is_over(database: TestDatabase) -> None:
    """m1 is still on its way to p1; m2 arrived; m3 was reported on its way to p1, and then
    arrived at p2."""
    for mission_id in ("m1", "m2", "m3"):
        started(database, mission_id)
    assert database.detect(16) == 3
    database.record("point_arrived", 20, "p1", mission_id="m2")
    database.record("point_arrived", 20, "p2", mission_id="m3")
    forget_recording(database)

    assert database.detect(21) == 0  # wakes what is under way
    assert database.detect(21) == 0
    moved_on = (at(21), "moved_on")
    tokens = [TRAVEL_TO_P1.replace("m1", mission_id) for mission_id in ("m1", "m2", "m3")]
    assert resolved(database) == dict(zip(tokens, [(None, None), moved_on, moved_on], strict=True))
    assert (
        database.values(
            "select idempotency_token from scooters_ops.interval_history"
            " where type = 'timeout_between_points' order by mission_id"
        )
        == tokens
    )
    database.record("point_arrived", 30, "p1")
    database.detect(31)
    assert resolved(database)[TRAVEL_TO_P1] == (at(31), "moved_on")


def test_an_upgrade_links_what_is_no_news_any_more(database: TestDatabase) -> None:
    reported(database)
    forget_recording(database)
    two_days = 2 * 24 * 60
    database.detect(two_days)
    database.detect(two_days)
    assert database.values("select idempotency_token from scooters_ops.interval_history") == [
        TRAVEL_TO_P1
    ]
    assert resolved(database) == {TRAVEL_TO_P1: (None, None)}
    database.record("point_arrived", two_days, "p1")
    database.detect(two_days + 1)
    assert resolved(database) == {TRAVEL_TO_P1: (at(two_days + 1), "moved_on")}


def test_an_upgrade_links_no_interval_that_was_in_time(database: TestDatabase) -> None:
    """An earlier version reported the way to p1; by late events he left earlier and arrived in
    time."""
    started_id = reported(database)
    forget_recording(database)
    database.connection.execute(
        "update scooters_ops.missions_history set occurred_at = %s where history_id = %s",
        (at(-1), started_id),
    )
    database.record("point_arrived", 10, "p1")
    for _ in range(2):
        database.detect(21)
    assert database.rows(
        "select point_id, is_open, idempotency_token from scooters_ops.interval_history"
        " where type = 'timeout_between_points'"
    ) == [{"point_id": "p1", "is_open": False, "idempotency_token": None}]


def test_until_the_first_pass_after_an_upgrade_nothing_counts_as_missed(
    database: TestDatabase,
) -> None:
    reported(database)
    forget_recording(database)
    missed = "select unrecorded_missions from scooters_ops.detection_status"
    assert database.value(missed) == []
    database.detect(20)
    assert database.value(missed) == []
    database.detect(20)
    assert database.value(missed) == []
    database.connection.execute("delete from scooters_ops.recorded_intervals")
    assert database.value(missed) == ["m1"]


def test_an_upgrade_records_what_is_under_way_where_no_pass_has_run_for_long(
    database: TestDatabase,
) -> None:
    """Pruning left no record of a pass."""
    reported(database)
    forget_recording(database)
    database.connection.execute("delete from scooters_ops.detection_passes")
    database.detect(20)
    database.detect(20)
    assert database.values("select idempotency_token from scooters_ops.interval_history") == [
        TRAVEL_TO_P1
    ]


def test_a_pass_of_an_earlier_version_that_ends_after_the_upgrade_takes_no_mission_away(
    database: TestDatabase,
) -> None:
    """It takes the wake-ups and records nothing."""
    started(database)
    database.detect(1)
    database.record("point_arrived", 5, "p1")
    database.connection.execute(
        "delete from scooters_ops.mission_wakeups;"
        " insert into scooters_ops.detection_passes"
        " (as_of, started_at, elapsed, missions, inserted)"
        " values (now(), now(), '0', 1, 0)"
    )
    database.detect(6)
    database.detect(6)
    assert database.value("select count(*) from scooters_ops.recorded_intervals") == 2
    assert database.value("select count(*) from scooters_ops.mission_wakeups") == 0


def test_an_open_interval_keeps_a_notification_that_an_earlier_visit_to_its_point_shares(
    database: TestDatabase,
) -> None:
    """Late events make a closed interval that leads to the same point, whose token is taken."""
    started(database)
    database.record("point_arrived", 5, "p1")
    database.record("point_completed", 6, "p1")
    assert database.detect(30) == 1
    assert resolved(database) == {TRAVEL_TO_P2: (None, None)}
    database.connection.execute(
        ADD_EVENTS + "('m1', null, 'mission_started', %s), ('m1', 'p2', 'point_arrived', %s)",
        (at(-60), at(-1)),
    )
    database.detect(31)
    assert database.tokens() == [TRAVEL_TO_P2]
