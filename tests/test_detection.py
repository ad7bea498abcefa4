"""detect_timeouts: whatever happens to the history, the plan and the config, the next pass reports
each overdue interval once.

The missions here have points p1, p2, ... with 10 minutes of travel to each and one job of
5 minutes at each. The factor is 1.5, so travel may last 15 minutes and a stay 7.5.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import TestDatabase, at, config, until

MOMENT = 1 / 60_000_000
"""A microsecond, in minutes."""
TRAVEL_TO_P1 = "m1_p1__timeout_between_points"
TRAVEL_TO_P2 = "m1_p2__timeout_between_points"
TRAVEL_TO_P3 = "m1_p3__timeout_between_points"
STAY_AT_P1 = "m1_p1__timeout_in_point"
STAY_AT_P2 = "m1_p2__timeout_in_point"
APPLY_CONFIG = "select scooters_ops.apply_config(%s)"
DETECT = "select scooters_ops.detect_timeouts(%s)"
ADD_EVENTS = (
    "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at) values "
)


def started(database: TestDatabase, mission_id: str = "m1", minutes: float = 0) -> None:
    """A mission that started the given number of minutes after noon."""
    database.create_mission(mission_id)
    database.record("mission_started", minutes, mission_id=mission_id)


def wakeups(database: TestDatabase) -> list[tuple[str, datetime | str]]:
    """The mission and due_at of every wake-up; -infinity and infinity as text."""
    rows = database.rows(
        "select mission_id, due_at::text from scooters_ops.mission_wakeups as wakeup"
        " order by mission_id, wakeup.due_at"
    )
    return [
        (
            row["mission_id"],
            row["due_at"] if "inf" in row["due_at"] else datetime.fromisoformat(row["due_at"]),
        )
        for row in rows
    ]


@contextmanager
def held_open(database: TestDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose transaction stays open during the block. It is rolled back at the end,
    unless the block committed it."""
    connection = psycopg.connect(database.conninfo)
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


# --- What is overdue, and when --------------------------------------------------------------------


def test_an_open_interval_is_reported_when_its_deadline_has_passed(database: TestDatabase) -> None:
    started(database)
    assert database.detect(1) == 0
    assert database.detect(16) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_an_interval_is_overdue_only_after_its_deadline(
    database: TestDatabase,
) -> None:
    started(database)
    assert database.detect(15) == 0
    assert database.detect(15 + MOMENT) == 1


def test_a_stay_that_ends_at_its_deadline_is_in_time_and_one_that_ends_later_is_not(
    database: TestDatabase,
) -> None:
    for mission_id, stay in (("m1", 7.5), ("m2", 7.5 + MOMENT)):
        started(database, mission_id)
        database.record("point_arrived", 10, "p1", mission_id)
        database.record("point_completed", 10 + stay, "p1", mission_id)
    assert database.detect(20) == 1
    assert database.tokens() == ["m2_p1__timeout_in_point"]


def test_an_interval_that_closes_late_between_two_passes_is_reported(
    database: TestDatabase,
) -> None:
    started(database)
    assert database.detect(14) == 0
    database.record("point_arrived", 16, "p1")
    assert database.detect(17) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_a_mission_that_starts_and_ends_between_two_passes_is_still_reported(
    database: TestDatabase,
) -> None:
    assert database.detect(-1) == 0
    started(database)
    database.record("point_arrived", 16, "p1")
    database.record("point_completed", 24, "p1")
    database.record("point_arrived", 26, "p2")
    database.record("mission_completed", 27)
    assert database.detect(60) == 2
    assert database.tokens() == [TRAVEL_TO_P1, STAY_AT_P1]


@pytest.mark.parametrize("end", ["mission_completed", "mission_cancelled"])
def test_an_interval_that_the_end_of_its_mission_closes_late_is_reported(
    database: TestDatabase, end: str
) -> None:
    started(database, "m1")
    started(database, "m2")
    database.record(end, 16, mission_id="m1")
    database.record(end, 14, mission_id="m2")
    assert database.detect(30) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_each_mission_is_reported_separately(database: TestDatabase) -> None:
    for number in range(20):
        started(database, f"m{number}", minutes=number)
    assert database.detect(25) == 10  # those that started before the 10th minute
    assert database.detect(40) == 10
    assert database.detect(60) == 0


# --- Once -----------------------------------------------------------------------------------------


def test_an_interval_is_reported_once_while_it_lasts_and_after_it_closes(
    database: TestDatabase,
) -> None:
    started(database)
    assert database.detect(16) == 1
    assert database.detect(16) == 0
    assert database.detect(30) == 0
    database.record("point_arrived", 40, "p1")
    assert database.detect(41) == 0
    assert database.tokens() == [TRAVEL_TO_P1]


def test_a_notification_stays_when_a_late_event_shows_that_the_courier_was_in_time(
    database: TestDatabase,
) -> None:
    started(database)
    assert database.detect(16) == 1
    database.record("point_arrived", 14, "p1")
    assert database.detect(17) == 0
    assert database.tokens() == [TRAVEL_TO_P1]


def test_a_pass_as_of_an_earlier_time_adds_only_what_was_overdue_then(
    database: TestDatabase,
) -> None:
    started(database)
    assert database.detect(10) == 0
    database.record("point_arrived", 11, "p1")
    assert database.detect(5) == 0
    assert database.detect(30) == 1
    assert database.tokens() == [STAY_AT_P1]


# --- Changes of the history -----------------------------------------------------------------------


def test_a_late_event_that_closes_an_interval_before_its_deadline_prevents_the_notification(
    database: TestDatabase,
) -> None:
    started(database)
    assert database.detect(14) == 0
    database.record("point_arrived", 13, "p1")  # reported after the pass at 14
    assert database.detect(16) == 0
    assert database.detect(20.5) == 0
    assert database.detect(20.5 + MOMENT) == 1
    assert database.tokens() == [STAY_AT_P1]


def test_a_late_event_that_opens_an_overdue_interval_is_reported(
    database: TestDatabase,
) -> None:
    started(database)
    database.record("point_completed", 12, "p1")
    assert database.detect(13) == 0
    database.record("point_arrived", 2, "p1")  # the stay was 10 minutes
    assert database.detect(14) == 1
    assert database.tokens() == [STAY_AT_P1]


def test_events_count_in_the_order_in_which_they_occurred(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("mission_completed", 40)
    database.record("point_arrived", 16, "p1")
    database.record("point_completed", 20, "p1")
    assert database.detect(41) == 1  # travel from p1 on
    database.record("mission_started", 0)
    assert database.detect(42) == 1
    assert database.tokens() == [TRAVEL_TO_P1, TRAVEL_TO_P2]


def test_the_earliest_of_repeated_events_counts(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 14, "p1")
    database.record("point_arrived", 19, "p1")
    database.record("point_completed", 21, "p1")
    database.record("point_completed", 30, "p1")
    assert database.detect(31) == 0
    database.record("mission_started", -5)
    assert database.detect(32) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


@pytest.mark.parametrize(
    "edit",
    [
        "set occurred_at = occurred_at - interval '5 minutes' where type = 'mission_started'",
        "set occurred_at = occurred_at + interval '5 minutes' where type = 'point_arrived'",
        "set mission_id = 'm0' where type = 'point_arrived'",
        "set type = 'point_left' where type = 'point_arrived'",
    ],
)
def test_an_edited_event_is_evaluated_again(database: TestDatabase, edit: str) -> None:
    started(database)
    database.record("point_arrived", 12, "p1")
    database.record("point_completed", 18, "p1")
    assert database.detect(19) == 0
    database.connection.execute(f"update scooters_ops.missions_history {edit}")
    assert database.detect(20) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_an_event_whose_type_and_mission_are_edited_is_evaluated_again(
    database: TestDatabase,
) -> None:
    started(database, "m1")
    started(database, "m2")
    database.record("point_arrived", 14, "p1", "m1")
    database.record("seen_by_gps", 14, "p1", "m2")
    assert database.detect(15) == 0
    database.connection.execute(
        "update scooters_ops.missions_history set type = 'point_arrived', occurred_at = %s"
        " where mission_id = 'm2' and type = 'seen_by_gps'",
        (at(1),),
    )
    assert database.detect(15) == 1
    database.connection.execute(
        "update scooters_ops.missions_history set mission_id = 'm2'"
        " where mission_id = 'm1' and type = 'point_arrived'"
    )
    assert database.detect(16) == 1
    assert database.tokens() == [TRAVEL_TO_P1, "m2_p1__timeout_in_point"]


def test_a_mission_is_evaluated_again_after_an_event_was_deleted(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 14, "p1")
    assert database.detect(16) == 0
    database.connection.execute(
        "delete from scooters_ops.missions_history where type = 'point_arrived'"
    )
    assert database.detect(16) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_a_future_event_counts_from_the_time_it_carries(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 10, "p1")
    assert database.detect(5) == 0
    assert wakeups(database) == [("m1", at(10))]
    assert database.detect(10) == 0
    assert database.detect(17.5) == 0
    assert database.detect(18) == 1
    assert database.tokens() == [STAY_AT_P1]


def test_a_future_event_does_not_hide_an_earlier_deadline(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 20, "p1")
    assert database.detect(5) == 0
    assert wakeups(database) == [("m1", at(15))]
    assert database.detect(16) == 1
    assert database.tokens() == [TRAVEL_TO_P1]
    assert wakeups(database) == [("m1", at(20))]


def test_a_mission_that_starts_in_the_future_is_reported_then(database: TestDatabase) -> None:
    started(database, minutes=30)
    assert database.detect(0) == 0
    assert database.detect(44) == 0
    assert database.detect(46) == 1


def test_a_mission_completed_in_the_future_is_watched_until_then(
    database: TestDatabase,
) -> None:
    started(database)
    database.record("mission_completed", 60)
    assert database.detect(16) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_events_of_other_types_neither_wake_a_mission_nor_count(database: TestDatabase) -> None:
    started(database)
    assert database.detect(1) == 0
    before = wakeups(database)
    database.record("battery_low", 2, "p1")
    database.connection.execute(
        "update scooters_ops.missions_history set occurred_at = %s where type = 'battery_low'",
        (at(3),),
    )
    database.connection.execute(
        "delete from scooters_ops.missions_history where type = 'battery_low'"
    )
    assert wakeups(database) == before


def test_the_history_of_an_unknown_mission_counts_once_the_mission_is_created(
    database: TestDatabase,
) -> None:
    database.connection.execute(ADD_EVENTS + "('m1', null, 'mission_started', %s)", (at(0),))
    assert database.detect(20) == 0
    database.create_mission()
    assert database.detect(20) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_a_transaction_that_commits_late_is_not_missed(database: TestDatabase) -> None:
    database.create_mission()
    with held_open(database) as writer:
        writer.execute(
            "select scooters_ops.record_event('m1', 'mission_started', null, %s)", (at(0),)
        )
        for minutes in (1, 16, 30):
            assert database.detect(minutes) == 0
        started(database, "m2", 20)  # a later writer commits earlier
        assert database.detect(31) == 0
        writer.commit()
    assert database.detect(31) == 1
    assert database.tokens() == [TRAVEL_TO_P1]
    assert database.detect(36) == 1


def test_a_transaction_that_rolls_back_changes_nothing(database: TestDatabase) -> None:
    started(database)
    assert database.detect(14) == 0
    with held_open(database) as writer:
        writer.execute(
            "select scooters_ops.record_event('m1', 'point_arrived', 'p1', %s)", (at(13),)
        )
    assert database.detect(16) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_copied_events_wake_their_missions(database: TestDatabase) -> None:
    for mission_id in ("m1", "m2"):
        database.create_mission(mission_id)
    assert database.detect(-1) == 0
    with (
        database.connection.cursor() as cursor,
        cursor.copy(
            "copy scooters_ops.missions_history (mission_id, type, occurred_at) from stdin"
        ) as copy,
    ):
        for mission_id in ("m1", "m2"):
            copy.write_row((mission_id, "mission_started", at(0)))
    assert database.detect(16) == 2


@pytest.mark.parametrize(
    "resolution",
    ["do nothing", "do update set occurred_at = excluded.occurred_at"],
)
def test_events_inserted_on_conflict_wake_their_missions(
    database: TestDatabase, resolution: str
) -> None:
    started(database, "m1", minutes=10)
    database.create_mission("m2")
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    database.connection.execute(
        "insert into scooters_ops.missions_history (history_id, mission_id, type, occurred_at)"
        " select history_id, 'm1', 'mission_started', %(zero)s from scooters_ops.missions_history"
        " union all"
        " select 1000, 'm2', 'mission_started', %(zero)s"
        f" on conflict (history_id) {resolution}",
        {"zero": at(0)},
    )
    woken = {mission_id for mission_id, _ in wakeups(database)}
    assert woken == ({"m2"} if resolution == "do nothing" else {"m1", "m2"})
    assert database.detect(16) == len(woken)


def test_merged_events_wake_their_missions(database: TestDatabase) -> None:
    started(database, "m1", minutes=10)
    database.create_mission("m2")
    assert database.detect(11) == 0
    database.connection.execute(
        "merge into scooters_ops.missions_history as event"
        " using (values ('m1'), ('m2')) as told (mission_id)"
        " on event.mission_id = told.mission_id"
        " when matched then update set occurred_at = %(zero)s"
        " when not matched then insert (mission_id, type, occurred_at)"
        "     values (told.mission_id, 'mission_started', %(zero)s)",
        {"zero": at(0)},
    )
    assert database.detect(16) == 2


# --- Changes of the plan --------------------------------------------------------------------------

SHORTENED_ETA = "update scooters_ops.mission_points set eta = '5 minutes' where point_id = 'p1'"
NEW_FIRST_POINT = """
    update scooters_ops.mission_points set position = position + 1;
    insert into scooters_ops.mission_points values ('m1', 'p0', 1, '5 minutes')
"""
REMOVED_POINT = """
    update scooters_ops.mission_points set eta = '5 minutes' where point_id = 'p2';
    delete from scooters_ops.mission_points where point_id = 'p1'
"""
REORDERED_POINTS = """
    update scooters_ops.mission_points
    set position = 4 - position, eta = position * interval '5 minutes'
"""
REPLACED_PLAN = """
    delete from scooters_ops.mission_points where mission_id = 'm1';
    insert into scooters_ops.mission_points values
        ('m1', 'q1', 1, '5 minutes'),
        ('m1', 'q2', 2, '10 minutes')
"""
SKIPPED_JOB = """
    update scooters_ops.mission_points set eta = '4 minutes' where point_id = 'p1';
    update scooters_ops.mission_points set eta = '1 minutes' where point_id = 'p2';
    update scooters_ops.mission_jobs set status = 'skipped' where point_id = 'p1'
"""


@pytest.mark.parametrize(
    ("change", "point_id"),
    [
        pytest.param(SHORTENED_ETA, "p1", id="shortened eta"),
        pytest.param(NEW_FIRST_POINT, "p0", id="new point"),
        pytest.param(REMOVED_POINT, "p2", id="removed point"),
        pytest.param(REORDERED_POINTS, "p3", id="reordered points"),
        pytest.param(REPLACED_PLAN, "q1", id="replaced plan"),
        pytest.param(SKIPPED_JOB, "p2", id="wholly skipped point"),
    ],
)
def test_a_changed_plan_can_make_travel_overdue_at_once(
    database: TestDatabase, change: str, point_id: str
) -> None:
    started(database)
    assert database.detect(14) == 0
    with database.connection.transaction():
        database.connection.execute(change)
    expected = 1 if point_id != "p3" else 0  # the new first point p3 may take 22.5 minutes
    assert database.detect(14) == expected
    assert database.detect(23) == 1 - expected
    assert database.tokens() == [f"m1_{point_id}__timeout_between_points"]


@pytest.mark.parametrize(
    "change",
    [
        "update scooters_ops.mission_jobs set eta = '1 minute' where point_id = 'p1'",
        "update scooters_ops.mission_jobs set type = 'dropoff' where point_id = 'p1'",
        "delete from scooters_ops.mission_jobs where point_id = 'p1' and job_id = 'j2'",
    ],
)
def test_changed_jobs_can_make_a_stay_overdue_at_once(database: TestDatabase, change: str) -> None:
    database.create_mission(jobs=2)  # 10 minutes: 15
    database.record("mission_started", 0)
    database.record("point_arrived", 5, "p1")
    assert database.detect(19) == 0
    database.connection.execute(change)
    assert database.detect(19) == 1
    assert database.tokens() == [STAY_AT_P1]


def test_a_longer_plan_moves_the_deadline(database: TestDatabase) -> None:
    started(database)
    assert database.detect(1) == 0
    database.connection.execute(
        "update scooters_ops.mission_points set eta = '20 minutes' where point_id = 'p1'"
    )
    assert database.detect(16) == 0
    assert wakeups(database) == [("m1", at(30))]
    assert database.detect(31) == 1


def test_a_changed_plan_can_make_a_closed_interval_overdue(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 14, "p1")
    database.record("mission_completed", 15)
    assert database.detect(16) == 0
    database.connection.execute(SHORTENED_ETA)
    assert database.detect(17) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


def test_a_reopened_mission_is_watched_again(database: TestDatabase) -> None:
    started(database)
    database.connection.execute("update scooters_ops.missions set status = 'cancelled'")
    assert database.detect(16) == 0
    assert wakeups(database) == []
    database.connection.execute("update scooters_ops.missions set status = 'active'")
    assert database.detect(17) == 1


def test_a_deleted_mission_is_not_evaluated_any_more(database: TestDatabase) -> None:
    started(database)
    assert database.detect(1) == 0
    database.connection.execute("delete from scooters_ops.missions")
    assert database.detect(20) == 0
    assert wakeups(database) == []


def test_a_renamed_mission_is_watched_under_its_new_name(database: TestDatabase) -> None:
    database.connection.execute(
        "insert into scooters_ops.missions (mission_id, performer_id) values ('m0', 'c1')"
    )
    database.connection.execute(
        "insert into scooters_ops.mission_points values ('m0', 'p1', 1, '10 minutes')"
    )
    database.record("mission_started", 0, mission_id="m0")
    database.create_mission("m1", points=1)
    assert database.detect(1) == 0
    database.connection.execute("update scooters_ops.missions_history set mission_id = 'm1'")
    assert database.detect(16) == 1
    assert database.tokens() == [TRAVEL_TO_P1]


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


def test_a_lower_factor_reports_open_intervals_and_recent_closed_ones(
    database: TestDatabase,
) -> None:
    hour = {"detection__notify_within_seconds": 3600}
    database.apply_config(**hour)
    three_late_missions(database)
    assert detect_now(database) == 0
    database.apply_config(detection__timeouts__timeout_between_points__factor=1.1, **hour)
    assert detect_now(database) == 2
    assert database.tokens() == [TRAVEL_TO_P1, "m2_p1__timeout_between_points"]


def test_a_lower_factor_reports_everything_without_notify_within(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__notify_within_seconds=None)
    three_late_missions(database)
    assert detect_now(database) == 0
    database.apply_config(
        detection__notify_within_seconds=None,
        detection__timeouts__timeout_between_points__factor=1.1,
    )
    assert detect_now(database) == 3


def test_a_longer_notify_within_reports_older_intervals(database: TestDatabase) -> None:
    database.apply_config(
        detection__notify_within_seconds=60,
        detection__timeouts__timeout_between_points__factor=1.0,
    )
    three_late_missions(database)
    assert detect_now(database) == 0
    for within, inserted in ((60 * 60, 2), (4 * 60 * 60, 1)):
        database.apply_config(
            detection__notify_within_seconds=within,
            detection__timeouts__timeout_between_points__factor=1.0,
        )
        assert detect_now(database) == inserted


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
    assert database.detect(20 + MOMENT) == 1


def test_a_change_outside_detection_wakes_no_mission(
    database: TestDatabase,
) -> None:
    started(database)
    assert database.detect(1) == 0
    before = wakeups(database)
    database.apply_config(notifier__poll_seconds=7)
    assert wakeups(database) == before


def test_a_config_applied_during_a_pass_takes_effect_with_the_next_pass(
    database: TestDatabase,
) -> None:
    started(database)
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
    started(database, "m2", -MOMENT)
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
    assert database.detect(15 + MOMENT) == 0


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


def test_an_overdue_interval_of_a_disabled_type_keeps_a_wakeup_until_it_is_too_old(
    database: TestDatabase,
) -> None:
    database.apply_config(
        detection__timeouts__timeout_between_points__enabled=False,
        detection__notify_within_seconds=3600,
    )
    started(database)
    database.record("point_arrived", 16, "p1")
    database.record("mission_completed", 17)
    assert database.detect(20) == 0
    assert wakeups(database) == [("m1", at(75))]
    assert database.detect(74) == 0
    assert wakeups(database) == [("m1", at(75))]
    assert database.detect(75 + MOMENT) == 0
    assert wakeups(database) == []


def test_without_notify_within_that_wakeup_stays_until_the_config_changes(
    database: TestDatabase,
) -> None:
    disabled = {
        "detection__timeouts__timeout_between_points__enabled": False,
        "detection__notify_within_seconds": None,
    }
    database.apply_config(**disabled)
    started(database)
    database.record("point_arrived", 16, "p1")
    database.record("mission_completed", 17)
    assert database.detect(20) == 0
    assert wakeups(database) == [("m1", "infinity")]
    assert database.detect(1_000_000) == 0
    database.apply_config(detection__notify_within_seconds=None)
    assert database.detect(1_000_000) == 1


def test_a_mission_with_such_a_wakeup_is_woken_for_its_next_deadline(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__timeouts__timeout_between_points__enabled=False)
    started(database)
    database.record("point_arrived", 16, "p1")
    assert database.detect(17) == 0
    assert wakeups(database) == [("m1", at(23.5))]
    assert database.detect(24) == 1
    assert database.tokens() == [STAY_AT_P1]
    assert wakeups(database) == [("m1", at(15 + 24 * 60))]


def test_without_a_config_nothing_is_reported_and_nothing_is_lost(database: TestDatabase) -> None:
    database.connection.execute("delete from scooters_ops.configs")
    started(database)
    assert database.detect(16) == 0
    database.apply_config()
    assert database.detect(17) == 1


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


def test_a_pass_leaves_one_wakeup_at_the_deadline_of_the_open_interval(
    database: TestDatabase,
) -> None:
    started(database)
    database.record("point_arrived", 8, "p1")
    assert len(wakeups(database)) > 1
    database.detect(9)
    assert wakeups(database) == [("m1", at(15.5))]


def test_a_mission_is_not_evaluated_before_it_is_due(database: TestDatabase) -> None:
    started(database)
    database.detect(1)
    database.detect(14)
    database.detect(15)
    assert database.values(
        "select missions from scooters_ops.detection_passes order by pass_id"
    ) == [1, 0, 1]


def test_a_pass_leaves_no_wakeup_if_nothing_can_become_overdue(database: TestDatabase) -> None:
    database.create_mission("not_started")
    started(database, "ended")
    database.record("mission_completed", 5, mission_id="ended")
    started(database, "told")
    database.create_mission("at_the_last_point", points=1)
    database.record("mission_started", 0, mission_id="at_the_last_point")
    database.record("point_arrived", 1, "p1", "at_the_last_point")
    database.record("point_completed", 2, "p1", "at_the_last_point")
    database.detect(16)
    assert database.tokens() == ["told_p1__timeout_between_points"]
    assert wakeups(database) == []


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


# --- The details of a notification ----------------------------------------------------------------


def test_the_details_of_an_open_interval_are_the_facts_at_detection(
    database: TestDatabase,
) -> None:
    database.create_mission(attributes={"city": "Moscow", "zone": 7})
    database.record("mission_started", 0)
    database.record("point_arrived", 5, "p1")
    database.record("point_completed", 10, "p1")
    assert database.detect(26) == 1
    database.apply_config(detection__timeouts__timeout_between_points__factor=3)
    database.connection.execute("update scooters_ops.missions set attributes = '{}'")
    database.detect(27)
    (notification,) = database.rows("select * from scooters_ops.monitoring_notifications")
    details = notification["details"]
    for key in ("started_at", "detected_at"):
        details[key] = datetime.fromisoformat(details[key])
    assert details == {
        "performer_id": "c1",
        "attributes": {"city": "Moscow", "zone": 7},
        "point_position": 2,
        "points_total": 3,
        "started_at": at(10),
        "finished_at": None,
        "eta_seconds": 600,
        "factor": 1.5,
        "minimum_seconds": 0,
        "limit_seconds": 900,
        "elapsed_seconds": 960,
        "detected_at": at(26),
    }
    del notification["details"], notification["created_at"], notification["notification_id"]
    assert notification == {
        "idempotency_token": TRAVEL_TO_P2,
        "mission_id": "m1",
        "point_id": "p2",
        "job_id": None,
        "type": "timeout_between_points",
        "completed": False,
        "recipients": [],
        "planned_at": None,
    }


def test_the_details_of_a_closed_interval_hold_its_end_and_duration(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__timeouts__timeout_in_point__minimum_seconds=480)
    started(database)
    database.record("point_arrived", 5, "p1")
    database.record("point_completed", 13.5, "p1")
    assert database.detect(20) == 1
    details = database.value("select details from scooters_ops.monitoring_notifications")
    assert datetime.fromisoformat(details["finished_at"]) == at(13.5)
    assert {key: details[key] for key in details if key.endswith("_seconds")} == {
        "eta_seconds": 300,
        "minimum_seconds": 480,
        "limit_seconds": 480,
        "elapsed_seconds": 510,
    }
    assert datetime.fromisoformat(details["detected_at"]) == at(20)


def test_a_point_that_is_no_longer_planned_has_no_position(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 5, "p1")
    database.connection.execute("delete from scooters_ops.mission_points where point_id = 'p1'")
    assert database.detect(20) == 1
    details = database.value("select details from scooters_ops.monitoring_notifications")
    assert details["point_position"] is None
    assert details["points_total"] == 2


def test_identifiers_that_contain_separators_have_distinct_tokens(database: TestDatabase) -> None:
    for mission_id, point_id in (("a_b", "c"), ("a", "b_c"), ("a\\", "b"), ("a", "\\b")):
        database.connection.execute(
            "insert into scooters_ops.missions (mission_id, performer_id) values (%s, 'c1')"
            " on conflict do nothing",
            (mission_id,),
        )
        database.connection.execute(
            ADD_EVENTS + "(%s, %s, 'point_arrived', %s)", (mission_id, point_id, at(0))
        )
    assert database.detect(20) == 3  # of ('a', ...) the first stay ends at once
    assert len(set(database.tokens())) == 3


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
    assert (status["last_pass_missions"], status["last_pass_inserted"]) == (1, 1)
    assert before <= status["last_pass_at"] <= after
    assert status["last_pass_elapsed"] <= after - before


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
    assert passes(database) == [(2, 2, 3), (2, 2, 1), (1, 1, 0)]


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
                until(lambda: len(database.tokens()) >= 2)
                assert not call.done()
                assert passes(database) == [(2, 2, 3)]
                assert len(wakeups(database)) >= 3
            finally:
                elsewhere.rollback()
            call.result()
    assert passes(database) == [(2, 2, 3), (2, 2, 1), (1, 1, 0)]
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
