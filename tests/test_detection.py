"""detect_timeouts: whatever happens to the history and the plan, the next pass reports each overdue
interval once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.conftest import TestDatabase, at
from tests.detection_rigs import (
    ADD_EVENTS,
    MICROSECOND,
    STAY_AT_P1,
    TRAVEL_TO_P1,
    TRAVEL_TO_P2,
    held_open,
    started,
    wakeups,
)

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
    assert database.detect(15 + MICROSECOND) == 1


def test_a_stay_that_ends_at_its_deadline_is_in_time_and_one_that_ends_later_is_not(
    database: TestDatabase,
) -> None:
    for mission_id, stay in (("m1", 7.5), ("m2", 7.5 + MICROSECOND)):
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
    assert database.detect(20.5 + MICROSECOND) == 1
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
    assert wakeups(database) == [("m1", at(20))]
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
        " using (values ('m1'), ('m2')) as source (mission_id)"
        " on event.mission_id = source.mission_id"
        " when matched then update set occurred_at = %(zero)s"
        " when not matched then insert (mission_id, type, occurred_at)"
        "     values (source.mission_id, 'mission_started', %(zero)s)",
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
    assert database.detect(30) == 0
    assert database.detect(31) == 1


def test_a_changed_plan_does_not_judge_a_closed_interval_again(database: TestDatabase) -> None:
    started(database)
    database.record("point_arrived", 14, "p1")
    database.record("mission_completed", 15)
    assert database.detect(16) == 0
    database.connection.execute(SHORTENED_ETA)
    assert database.detect(17) == 0


def test_a_plan_that_arrives_after_the_events_is_judged(database: TestDatabase) -> None:
    database.connection.execute(
        "insert into scooters_ops.missions (mission_id, performer_id) values ('m1', 'c1')"
    )
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)"
        " values ('m1', null, 'mission_started', %s), ('m1', 'p1', 'point_arrived', %s)",
        (at(0), at(16)),
    )
    assert database.detect(17) == 0
    database.connection.execute(
        "insert into scooters_ops.mission_points values ('m1', 'p1', 1, '10 minutes')"
    )
    assert database.detect(18) == 1
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
        "rule": None,
        "minimum_seconds": 0,
        "limit_seconds": 900,
        "elapsed_seconds": 960,
        "detected_at": at(26),
    }
    del notification["details"], notification["created_at"], notification["notification_id"]
    assert notification.pop("config_id") < database.value(
        "select config_id from scooters_ops.config_in_force"
    )
    assert notification.pop("noticed_after") == timedelta(minutes=1)
    assert notification.pop("known_at") is not None
    assert notification.pop("was_unrouted") is False
    for later in (
        *("resolved_at", "resolution", "ended_at", "acknowledged_at", "acknowledged_by"),
        *("planned_config_id", "late_because", "told_at", "told_late_because"),
    ):
        assert notification.pop(later) is None
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


def test_an_event_at_a_point_without_a_name_stops_no_pass(database: TestDatabase) -> None:
    """record_event refuses it, but a service may insert it: it would begin where missions do."""
    started(database)
    database.connection.execute(
        ADD_EVENTS + "('m1', '', 'point_arrived', %s), ('m1', '', 'point_completed', %s)",
        (at(1), at(2)),
    )
    database.create_mission("m2")
    # That of a mission as a whole may hold anything.
    database.connection.execute(ADD_EVENTS + "('m2', '', 'mission_started', %s)", (at(0),))
    assert database.detect(16) == 2
    assert database.tokens() == [TRAVEL_TO_P1, TRAVEL_TO_P1.replace("m1", "m2")]
