"""Detection and the config: what a new config wakes, what is too old to be reported, and what a
disabled type or disabled detection leaves for later.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.conftest import TestDatabase, at
from tests.detection_rigs import (
    DETECT,
    MICROSECOND,
    STAY_AT_P1,
    TRAVEL_TO_P1,
    held_open,
    started,
    wakeups,
)

# --- Changes of the config ------------------------------------------------------------------------
# apply_config compares events with the database's own clock, so the missions of these tests end
# now.


def minutes_ago(minutes: float) -> datetime:
    """The given number of minutes before now."""
    return datetime.now(UTC) - timedelta(minutes=minutes)


def play(database: TestDatabase, mission_id: str, *events: tuple[str, str | None, float]) -> None:
    """A mission with events, each given as (type, point, minutes ago)."""
    database.create_mission(mission_id)
    for type, point_id, minutes in events:
        database.value(
            "select scooters_ops.record_event(%s, %s, %s, %s)",
            mission_id,
            type,
            point_id,
            minutes_ago(minutes),
        )


def detect_now(database: TestDatabase) -> int:
    return int(database.value("select scooters_ops.detect_timeouts()"))


def three_late_missions(database: TestDatabase) -> None:
    """Three missions that travelled 12 minutes where 10 are planned: one open, one closed, and m3,
    which was three hours ago."""
    play(database, "m1", ("mission_started", None, 12))
    for mission_id, ago in (("m2", 20.0), ("m3", 180.0)):
        play(
            database,
            mission_id,
            ("mission_started", None, ago),
            ("point_arrived", "p1", ago - 12),
            ("mission_completed", None, ago - 13),
        )


def test_a_lower_factor_reports_open_intervals_and_never_closed_ones(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__notify_within_seconds=None)
    three_late_missions(database)
    assert detect_now(database) == 0
    database.apply_config(
        detection__notify_within_seconds=None,
        detection__timeouts__timeout_between_points__factor=1.1,
    )
    assert detect_now(database) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_a_closed_interval_keeps_the_judgement_of_its_config(database: TestDatabase) -> None:
    three_late_missions(database)
    detect_now(database)
    closed = "select * from scooters_ops.recorded_intervals where finished_at is not null"
    before = database.rows(f"{closed} order by mission_id, started_at")
    assert {row["factor"] for row in before} == {Decimal("1.5")}
    database.apply_config(detection__timeouts__timeout_between_points__factor=1.1)
    database.value("select scooters_ops.wake_missions('-infinity', 'infinity')")
    detect_now(database)
    assert database.rows(f"{closed} order by mission_id, started_at") == before


def test_a_closed_interval_keeps_its_judgement_when_its_end_is_corrected(
    database: TestDatabase,
) -> None:
    started(database)
    database.record("point_arrived", 20, "p1")
    database.detect(21)
    database.connection.execute("update scooters_ops.recorded_intervals set rule = 'night'")
    database.apply_config(detection__timeouts__timeout_between_points__factor=3)
    database.connection.execute(
        "update scooters_ops.missions_history set occurred_at = %s where type = 'point_arrived'",
        (at(18),),
    )
    database.detect(22)
    assert database.rows(
        "select finished_at, eta, factor, time_limit, rule from scooters_ops.recorded_intervals"
        " where type = 'timeout_between_points'"
    ) == [
        {
            "finished_at": at(18),
            "eta": timedelta(minutes=10),
            "factor": Decimal("1.5"),
            "time_limit": timedelta(minutes=15),
            "rule": "night",
        }
    ]


def test_a_longer_notify_within_reports_no_closed_interval(database: TestDatabase) -> None:
    database.apply_config(
        detection__notify_within_seconds=60,
        detection__timeouts__timeout_between_points__factor=1.0,
    )
    three_late_missions(database)
    assert detect_now(database) == 0
    database.apply_config(
        detection__notify_within_seconds=None,
        detection__timeouts__timeout_between_points__factor=1.0,
    )
    assert detect_now(database) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_a_longer_notify_within_reports_an_open_interval_with_an_old_start(
    database: TestDatabase,
) -> None:
    """Its start is older than notify_within, so no event alone would wake it."""
    database.apply_config(detection__notify_within_seconds=60 * 60)
    play(database, "m1", ("mission_started", None, 200))  # due 185 minutes ago
    assert detect_now(database) == 0
    assert wakeups(database) == []
    database.apply_config(detection__notify_within_seconds=190 * 60)
    assert detect_now(database) == 1


def test_changed_etas_of_job_types_wake_missions(database: TestDatabase) -> None:
    play(database, "m1", ("mission_started", None, 12), ("point_arrived", "p1", 6))
    assert detect_now(database) == 0
    database.apply_config(detection__job_eta_seconds={"battery_exchange": 60})
    assert detect_now(database) == 1
    assert database.tokens() == [STAY_AT_P1]


def test_a_higher_factor_gives_more_time(database: TestDatabase) -> None:
    started(database)
    assert database.detect(14) == 0
    database.apply_config(detection__timeouts__timeout_between_points__factor=2)
    assert database.detect(16) == 0
    assert database.detect(21) == 1


def test_a_minimum_gives_time_to_short_etas(database: TestDatabase) -> None:
    database.apply_config(detection__timeouts__timeout_between_points__minimum_seconds=1200)
    started(database)
    assert database.detect(20) == 0
    assert database.detect(20 + MICROSECOND) == 1


def test_a_change_outside_detection_wakes_no_mission(
    database: TestDatabase,
) -> None:
    started(database)
    assert database.detect(1) == 0
    before = wakeups(database)
    database.apply_config(notifier__poll_seconds=7)
    assert wakeups(database) == before


@pytest.mark.parametrize("ends_later", [False, True])
def test_a_config_applied_during_a_pass_takes_effect_with_the_next_pass(
    database: TestDatabase, ends_later: bool
) -> None:
    """Also for a mission that counts as over, because its end is recorded already."""
    started(database)
    if ends_later:
        database.record("mission_completed", 100)
    with held_open(database) as passing:
        passing.execute(DETECT, (at(12),))
        database.connection.execute("set lock_timeout = '500ms'")
        database.apply_config(detection__timeouts__timeout_between_points__factor=1.1)
        passing.commit()
    assert database.detect(12) == 1


# --- What is too old to be reported ---------------------------------------------------------------


def test_an_interval_is_reported_only_within_notify_within_of_its_deadline(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__notify_within_seconds=3600)
    started(database, "m1", 0)  # due at 15, reported until 75
    started(database, "m2", -MICROSECOND)
    assert database.detect(75) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_without_notify_within_everything_is_reported(database: TestDatabase) -> None:
    database.apply_config(detection__notify_within_seconds=None)
    started(database, minutes=-1_000_000)
    assert database.detect(0) == 1


def test_with_notify_within_zero_hardly_anything_is_reported(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__notify_within_seconds=0)
    started(database)
    assert database.detect(15) == 0
    assert database.detect(15 + MICROSECOND) == 0


# --- Disabled, and enabled again ------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, -1_000_000])
def test_disabled_detection_reports_nothing_and_catches_up_when_enabled(
    database: TestDatabase, start: float
) -> None:
    """Also when passes are as of long ago."""
    database.apply_config(detection__enabled=False)
    started(database, "m1", start)
    started(database, "m2", start)
    database.record("point_arrived", start + 16, "p1", "m2")
    database.record("mission_completed", start + 17, mission_id="m2")
    for minutes in (1, 16, 30):
        assert database.detect(start + minutes) == 0
    assert database.tokens() == []
    database.apply_config(detection__enabled=True)
    assert database.detect(start + 31) == 2
    assert database.tokens() == [TRAVEL_TO_P1, "m2_p1__timeout_between_points"]


def test_a_deadline_known_before_detection_was_disabled_is_kept(database: TestDatabase) -> None:
    started(database)
    assert database.detect(1) == 0
    database.apply_config(detection__enabled=False)
    assert database.detect(20) == 0
    database.apply_config(detection__enabled=True)
    assert database.detect(21) == 1


def test_a_disabled_type_reports_nothing_and_catches_up_when_enabled(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__timeouts__timeout_in_point__enabled=False)
    started(database)
    database.record("point_arrived", 16, "p1")
    assert database.detect(24) == 1
    assert database.tokens() == [TRAVEL_TO_P1]
    database.apply_config()
    assert database.detect(25) == 1
    assert database.tokens() == [TRAVEL_TO_P1, STAY_AT_P1]


@pytest.mark.parametrize("start", [0, -1_000_000])
def test_an_enabled_type_catches_up_with_a_mission_that_ended_meanwhile(
    database: TestDatabase, start: float
) -> None:
    """Also when passes are as of long ago."""
    database.apply_config(detection__timeouts__timeout_in_point__enabled=False)
    started(database, minutes=start)
    database.record("point_arrived", start + 5, "p1")
    assert database.detect(start + 13) == 0
    database.record("point_completed", start + 14, "p1")
    database.record("mission_completed", start + 15)
    assert database.detect(start + 20) == 0
    assert database.detect(start + 1000) == 0
    database.apply_config()
    assert database.detect(start + 1001) == 1
    assert database.tokens() == [STAY_AT_P1]


def unjudged(database: TestDatabase) -> list[str]:
    """The types of the recorded intervals that may still become overdue."""
    return database.values(
        "select type::text from scooters_ops.recorded_intervals where not is_judged order by 1"
    )


def test_an_overdue_interval_of_a_disabled_type_waits_until_it_is_too_old(
    database: TestDatabase,
) -> None:
    database.apply_config(
        detection__timeouts__timeout_between_points__enabled=False,
        detection__notify_within_seconds=3600,
    )
    started(database)
    database.record("point_arrived", 16, "p1")
    database.record("mission_completed", 17)
    for minutes in (20, 74):
        assert database.detect(minutes) == 0
        assert unjudged(database) == ["timeout_between_points"]
    assert database.detect(75 + MICROSECOND) == 0
    assert unjudged(database) == []


def test_without_notify_within_it_waits_until_the_type_is_enabled(database: TestDatabase) -> None:
    database.apply_config(
        detection__timeouts__timeout_between_points__enabled=False,
        detection__notify_within_seconds=None,
    )
    started(database)
    database.record("point_arrived", 16, "p1")
    database.record("mission_completed", 17)
    assert database.detect(20) == 0
    assert database.detect(1_000_000) == 0
    database.apply_config(detection__notify_within_seconds=None)
    assert database.detect(1_000_000) == 1


def test_a_disabled_type_delays_no_other_type(database: TestDatabase) -> None:
    database.apply_config(detection__timeouts__timeout_between_points__enabled=False)
    started(database)
    database.record("point_arrived", 16, "p1")
    assert database.detect(17) == 0
    assert database.detect(24) == 1
    assert database.tokens() == [STAY_AT_P1]


def test_without_a_config_nothing_is_reported_and_nothing_is_lost(database: TestDatabase) -> None:
    database.connection.execute("delete from scooters_ops.configs")
    started(database)
    assert database.detect(16) == 0
    database.apply_config()
    assert database.detect(17) == 1
