"""The interval table of DESIGN.md by example, one promise for each test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.conftest import TestDatabase, at

IN_POINT = "timeout_in_point"
BETWEEN = "timeout_between_points"


class Span(NamedTuple):
    """The columns that most tests compare; times in minutes after noon, eta in minutes."""

    type: str
    point_id: str
    started: float
    finished: float | None
    eta: float | None


def intervals(
    database: TestDatabase, as_of: datetime, mission_id: str = "m1"
) -> list[dict[str, Any]]:
    """Whole rows, ordered by started_at."""
    return database.rows(
        "select * from scooters_ops.mission_intervals_at(%s)"
        " where mission_id = %s order by started_at, finished_at nulls last",
        as_of,
        mission_id,
    )


def spans(database: TestDatabase, minutes: float = 600, mission_id: str = "m1") -> list[Span]:
    """The intervals as of the given number of minutes after noon."""
    return [
        Span(
            str(row["type"]),
            row["point_id"],
            minutes_of(row["started_at"] - at(0)),
            None if row["finished_at"] is None else minutes_of(row["finished_at"] - at(0)),
            None if row["eta"] is None else minutes_of(row["eta"]),
        )
        for row in intervals(database, at(minutes), mission_id)
    ]


def minutes_of(duration: timedelta) -> float:
    return duration / timedelta(minutes=1)


def only_interval(database: TestDatabase, as_of: datetime) -> dict[str, Any]:
    (row,) = intervals(database, as_of)
    return row


def write_history(database: TestDatabase, type: str, minutes: float, point_id: str | None) -> None:
    """Inserts an event that record_event would refuse, as the mission service may do."""
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)"
        " values ('m1', %s, %s, %s)",
        (point_id, type, at(minutes)),
    )


def set_jobs(database: TestDatabase, point_id: str, *jobs: tuple[str, int | None, str]) -> None:
    """Replaces the jobs of a point; each is (type, eta in minutes, status)."""
    database.connection.execute(
        "delete from scooters_ops.mission_jobs where point_id = %s", (point_id,)
    )
    for number, (type, minutes, status) in enumerate(jobs):
        database.connection.execute(
            "insert into scooters_ops.mission_jobs values ('m1', %s, %s, %s, %s, %s)",
            (
                point_id,
                f"j{number}",
                type,
                None if minutes is None else timedelta(minutes=minutes),
                status,
            ),
        )


# --- what opens and closes an interval, and at which point it is ---


def test_an_arrival_opens_an_interval_at_that_point_until_the_next_event(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("point_arrived", 0, "p1")
    database.record("point_completed", 4, "p1")
    assert spans(database)[0] == Span(IN_POINT, "p1", 0, 4, 5)


def test_the_start_opens_an_interval_to_the_point_of_the_next_event(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_arrived", 8, "p1")
    assert spans(database)[0] == Span(BETWEEN, "p1", 0, 8, 10)


def test_a_completed_point_opens_an_interval_to_the_point_of_the_next_event(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("point_completed", 0, "p1")
    database.record("point_arrived", 12, "p3")
    assert spans(database)[0] == Span(BETWEEN, "p3", 0, 12, 20)


def test_the_next_event_names_the_point_even_if_it_is_not_an_arrival(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_completed", 8, "p2")
    assert spans(database)[0] == Span(BETWEEN, "p2", 0, 8, 20)


def test_travel_without_a_next_event_leads_to_the_first_point_without_an_event(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_completed", 10, "p2")
    assert spans(database)[-1] == Span(BETWEEN, "p1", 10, None, 10)


def test_the_first_point_has_the_lowest_position_not_the_first_name(database: TestDatabase) -> None:
    database.create_mission()
    database.connection.execute("update scooters_ops.mission_points set position = 40 - position")
    database.record("mission_started", 0)
    assert spans(database) == [Span(BETWEEN, "p3", 0, None, 10)]


@pytest.mark.parametrize("end", ["mission_completed", "mission_cancelled"])
def test_travel_before_the_end_of_the_mission_leads_to_the_first_point_without_an_event(
    database: TestDatabase, end: str
) -> None:
    database.create_mission()
    database.record("point_completed", 0, "p1")
    database.record(end, 30)
    assert spans(database) == [Span(BETWEEN, "p2", 0, 30, 10)]


def test_there_is_no_travel_when_every_point_was_visited(
    database: TestDatabase,
) -> None:
    database.create_mission(points=1)
    database.record("point_arrived", 0, "p1")
    database.record("point_completed", 5, "p1")
    assert spans(database) == [Span(IN_POINT, "p1", 0, 5, 5)]

    database.record("mission_completed", 90)
    assert spans(database) == [Span(IN_POINT, "p1", 0, 5, 5)]


def test_a_point_that_is_visited_later_is_not_visited_yet(database: TestDatabase) -> None:
    database.create_mission()
    database.record("point_completed", 0, "p1")
    database.record("mission_started", 1)
    database.record("point_arrived", 9, "p3")
    database.record("point_arrived", 15, "p2")
    assert spans(database)[:2] == [Span(BETWEEN, "p2", 0, 1, 10), Span(BETWEEN, "p3", 1, 9, 20)]


def test_a_mission_without_events_has_no_intervals(database: TestDatabase) -> None:
    database.create_mission()
    assert spans(database) == []


def test_events_of_an_unknown_mission_make_no_intervals(database: TestDatabase) -> None:
    write_history(database, "mission_started", 0, None)
    write_history(database, "point_arrived", 0, "p1")
    assert spans(database) == []


def test_missions_do_not_affect_each_other(database: TestDatabase) -> None:
    for mission_id in ("m1", "m2"):
        database.create_mission(mission_id)
    database.record("mission_started", 0, mission_id="m1")
    database.record("mission_started", 1, mission_id="m2")
    database.record("point_arrived", 2, "p2", mission_id="m1")
    database.record("mission_completed", 3, mission_id="m2")
    assert spans(database, mission_id="m1") == [
        Span(BETWEEN, "p2", 0, 2, 20),
        Span(IN_POINT, "p2", 2, None, 5),
    ]
    assert spans(database, mission_id="m2") == [Span(BETWEEN, "p1", 1, 3, 10)]


# --- which events count, and in which order ---


def test_only_the_earliest_of_repeated_events_counts(database: TestDatabase) -> None:
    database.create_mission()
    for minutes in (3, 0, 7):
        database.record("point_arrived", minutes, "p1")
    assert spans(database) == [Span(IN_POINT, "p1", 0, None, 5)]


def test_the_same_type_at_another_point_is_another_event(database: TestDatabase) -> None:
    database.create_mission()
    database.record("point_arrived", 0, "p1")
    database.record("point_arrived", 7, "p2")
    assert spans(database) == [
        Span(IN_POINT, "p1", 0, 7, 5),
        Span(IN_POINT, "p2", 7, None, 5),
    ]


def test_a_repeated_start_counts_once(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("mission_started", 5)
    database.record("point_arrived", 9, "p1")
    database.record("mission_started", 11)
    assert spans(database) == [
        Span(BETWEEN, "p1", 0, 9, 10),
        Span(IN_POINT, "p1", 9, None, 5),
    ]


def test_a_late_start_closes_an_interval_like_any_event(database: TestDatabase) -> None:
    database.create_mission()
    database.record("point_completed", 0, "p1")
    database.record("mission_started", 5)
    assert spans(database) == [
        Span(BETWEEN, "p2", 0, 5, 10),
        Span(BETWEEN, "p2", 5, None, 10),
    ]


def test_events_are_ordered_by_when_they_occurred_not_by_when_they_arrived(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("point_completed", 13, "p1")
    database.record("mission_started", 0)
    database.record("point_arrived", 9, "p1")
    assert spans(database) == [
        Span(BETWEEN, "p1", 0, 9, 10),
        Span(IN_POINT, "p1", 9, 13, 5),
        Span(BETWEEN, "p2", 13, None, 10),
    ]


@pytest.mark.parametrize(("first", "second"), [("p1", "p2"), ("p2", "p1")])
def test_events_at_the_same_time_are_ordered_as_they_arrived(
    database: TestDatabase, first: str, second: str
) -> None:
    database.create_mission()
    database.record("point_arrived", 0, first)
    database.record("point_arrived", 0, second)
    assert spans(database) == [
        Span(IN_POINT, first, 0, 0, 5),
        Span(IN_POINT, second, 0, None, 5),
    ]


def test_the_first_to_arrive_of_repetitions_at_the_same_time_counts(database: TestDatabase) -> None:
    database.create_mission()
    for point_id in ("p2", "p1", "p2"):
        database.record("point_arrived", 0, point_id)
    assert spans(database) == [
        Span(IN_POINT, "p2", 0, 0, 5),
        Span(IN_POINT, "p1", 0, None, 5),
    ]


def test_events_after_the_end_do_not_count(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("mission_cancelled", 5)
    database.record("point_arrived", 6, "p1")
    database.record("mission_completed", 7)
    assert spans(database) == [Span(BETWEEN, "p1", 0, 5, 10)]


def test_at_the_time_of_the_end_only_events_that_arrived_before_it_count(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("point_arrived", 0, "p1")
    database.record("point_arrived", 5, "p2")
    database.record("mission_completed", 5)
    database.record("point_arrived", 5, "p3")
    assert spans(database) == [
        Span(IN_POINT, "p1", 0, 5, 5),
        Span(IN_POINT, "p2", 5, 5, 5),
    ]


def test_an_end_that_arrives_late_cancels_the_events_after_it(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_arrived", 9, "p1")
    database.record("mission_completed", 5)
    assert spans(database) == [Span(BETWEEN, "p1", 0, 5, 10)]


def test_events_of_other_types_do_not_count(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("courier_paused", 1)
    database.record("job_completed", 2, "p1")
    database.record("point_arrived", 9, "p2")
    assert spans(database) == [
        Span(BETWEEN, "p2", 0, 9, 20),
        Span(IN_POINT, "p2", 9, None, 5),
    ]


def test_an_event_of_the_whole_mission_has_no_point_even_if_its_row_names_one(
    database: TestDatabase,
) -> None:
    database.create_mission()
    write_history(database, "mission_started", 0, "p1")
    write_history(database, "mission_started", 1, "p2")
    write_history(database, "mission_completed", 5, "p3")
    assert spans(database) == [Span(BETWEEN, "p1", 0, 5, 10)]


# --- how long: travel ---


def test_the_travel_time_of_a_skipped_point_is_added_to_the_next(database: TestDatabase) -> None:
    database.create_mission()
    set_jobs(database, "p1", ("pickup", None, "skipped"))
    database.record("mission_started", 0)
    assert spans(database) == [Span(BETWEEN, "p2", 0, None, 20)]


def test_a_point_with_one_job_not_skipped_is_still_to_be_visited(database: TestDatabase) -> None:
    database.create_mission()
    set_jobs(database, "p1", ("pickup", None, "skipped"), ("pickup", None, "completed"))
    database.record("mission_started", 0)
    assert spans(database) == [Span(BETWEEN, "p1", 0, None, 10)]


def test_a_point_without_jobs_is_still_to_be_visited(database: TestDatabase) -> None:
    database.create_mission(jobs=0)
    database.record("mission_started", 0)
    assert spans(database) == [Span(BETWEEN, "p1", 0, None, 10)]


def test_there_is_no_travel_when_the_remaining_points_are_skipped(database: TestDatabase) -> None:
    database.create_mission(points=2)
    set_jobs(database, "p2", ("pickup", None, "skipped"))
    database.record("point_completed", 0, "p1")
    assert spans(database) == []


def test_a_skipped_point_that_is_visited_counts_as_visited(
    database: TestDatabase,
) -> None:
    database.create_mission()
    set_jobs(database, "p1", ("pickup", None, "skipped"))
    database.record("mission_started", 0)
    database.record("point_arrived", 7, "p1")
    assert spans(database) == [
        Span(BETWEEN, "p1", 0, 7, 10),
        Span(IN_POINT, "p1", 7, None, 3),
    ]


def test_positions_may_have_gaps(database: TestDatabase) -> None:
    database.create_mission()
    database.connection.execute("update scooters_ops.mission_points set position = position * 10")
    database.record("point_completed", 0, "p1")
    database.record("point_arrived", 12, "p3")
    assert spans(database)[0] == Span(BETWEEN, "p3", 0, 12, 20)


@pytest.mark.parametrize("target", ["p1", "p2"])
def test_going_back_takes_the_eta_of_the_point_itself(database: TestDatabase, target: str) -> None:
    database.create_mission()
    database.connection.execute(
        "update scooters_ops.mission_points set eta = make_interval(mins => 7 * position)"
    )
    database.record("point_completed", 0, "p2")
    database.record("point_arrived", 9, target)
    assert spans(database)[0] == Span(BETWEEN, target, 0, 9, 7 if target == "p1" else 14)


def test_after_going_back_travel_is_measured_from_the_last_visited_point(
    database: TestDatabase,
) -> None:
    database.create_mission(points=4)
    database.record("point_completed", 0, "p3")
    database.record("point_completed", 5, "p1")
    database.record("point_arrived", 9, "p4")
    assert spans(database)[1] == Span(BETWEEN, "p4", 5, 9, 30)


def test_travel_to_an_unplanned_point_has_no_limit(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    write_history(database, "point_arrived", 100, "elsewhere")
    row = intervals(database, at(600))[0]
    assert (row["point_id"], row["eta"], row["time_limit"], row["deadline"], row["is_overdue"]) == (
        "elsewhere",
        None,
        None,
        None,
        False,
    )


def test_without_an_eta_there_is_no_limit_even_with_a_minimum(database: TestDatabase) -> None:
    database.apply_config(detection__timeouts__timeout_between_points__minimum_seconds=60)
    database.create_mission()
    database.record("mission_started", 0)
    write_history(database, "point_arrived", 100, "elsewhere")
    assert intervals(database, at(600))[0]["time_limit"] is None


def test_an_unplanned_point_takes_as_long_as_an_unknown_job(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__default_job_eta_seconds=420)
    database.create_mission()
    write_history(database, "point_arrived", 0, "elsewhere")
    assert spans(database) == [Span(IN_POINT, "elsewhere", 0, None, 7)]


def test_travel_from_an_unplanned_point_is_measured_from_the_last_planned_one(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("point_completed", 0, "p1")
    write_history(database, "point_completed", 5, "elsewhere")
    database.record("point_arrived", 30, "p3")
    assert spans(database)[1] == Span(BETWEEN, "p3", 5, 30, 20)


# --- how long: jobs ---


def test_the_eta_of_a_job_overrides_that_of_its_type_which_overrides_the_default(
    database: TestDatabase,
) -> None:
    database.apply_config(
        detection__job_eta_seconds={"pickup": 180}, detection__default_job_eta_seconds=60
    )
    database.create_mission(points=3)
    set_jobs(database, "p1", ("pickup", 20, "planned"))
    set_jobs(database, "p2", ("pickup", None, "planned"))
    set_jobs(database, "p3", ("inspection", None, "planned"))
    for point in (1, 2, 3):
        database.record("point_arrived", point, f"p{point}")
    assert [span.eta for span in spans(database)] == [20, 3, 1]


def test_the_eta_of_a_job_may_be_zero(database: TestDatabase) -> None:
    database.create_mission()
    set_jobs(database, "p1", ("pickup", 0, "planned"))
    database.record("point_arrived", 0, "p1")
    assert spans(database) == [Span(IN_POINT, "p1", 0, None, 0)]


def test_a_point_takes_the_sum_of_its_jobs_whatever_their_status(
    database: TestDatabase,
) -> None:
    database.create_mission()
    set_jobs(
        database,
        "p1",
        ("pickup", None, "planned"),
        ("pickup", None, "completed"),
        ("dropoff", None, "skipped"),
        ("inspection", 30, "planned"),
        ("inspection", None, "planned"),
    )
    database.record("point_arrived", 0, "p1")
    assert spans(database) == [Span(IN_POINT, "p1", 0, None, 3 + 3 + 2 + 30 + 5)]


def test_a_point_without_jobs_counts_as_one_job_of_unknown_type(database: TestDatabase) -> None:
    database.apply_config(detection__default_job_eta_seconds=420)
    database.create_mission(jobs=0)
    database.record("point_arrived", 0, "p1")
    assert spans(database) == [Span(IN_POINT, "p1", 0, None, 7)]


# --- when it is overdue ---


def test_an_open_interval_is_overdue_when_it_has_lasted_longer_than_its_limit(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    limit = timedelta(minutes=15)
    on_time = only_interval(database, at(0) + limit)
    assert on_time["elapsed"] == on_time["time_limit"] == limit
    assert on_time["deadline"] == at(15)
    assert on_time["is_overdue"] is False
    assert only_interval(database, at(0) + limit + timedelta(microseconds=1))["is_overdue"] is True


@pytest.mark.parametrize(("microseconds", "is_overdue"), [(0, False), (1, True)])
def test_a_closed_interval_is_overdue_if_it_lasted_longer_than_its_limit(
    database: TestDatabase, microseconds: int, is_overdue: bool
) -> None:
    database.create_mission(points=1)
    database.record("point_arrived", 0, "p1")
    lasted = timedelta(minutes=7.5, microseconds=microseconds)
    database.connection.execute(
        "select scooters_ops.record_event('m1', 'point_completed', 'p1', %s)", (at(0) + lasted,)
    )
    row = only_interval(database, at(600))
    assert (row["elapsed"], row["is_overdue"]) == (lasted, is_overdue)


def test_each_type_has_its_own_factor(database: TestDatabase) -> None:
    database.apply_config(
        detection__timeouts__timeout_in_point__factor=3,
        detection__timeouts__timeout_between_points__factor=0.5,
    )
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_arrived", 1, "p1")
    assert [(float(row["factor"]), row["time_limit"]) for row in intervals(database, at(600))] == [
        (0.5, timedelta(minutes=5)),
        (3, timedelta(minutes=15)),
    ]


def test_no_limit_is_shorter_than_the_minimum(database: TestDatabase) -> None:
    database.apply_config(detection__timeouts__timeout_in_point__minimum_seconds=480)
    database.create_mission()
    set_jobs(database, "p2", ("inspection", 6, "planned"))
    database.record("point_arrived", 0, "p1")
    database.record("point_arrived", 1, "p2")
    assert [row["time_limit"] for row in intervals(database, at(600))] == [
        timedelta(minutes=8),
        timedelta(minutes=9),
    ]


def test_a_new_config_applies_to_past_intervals_in_the_view(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_arrived", 16, "p1")
    database.record("mission_completed", 17)
    assert [row["is_overdue"] for row in intervals(database, at(600))] == [True, False]
    database.apply_config(detection__timeouts__timeout_between_points__factor=1.7)
    assert [row["is_overdue"] for row in intervals(database, at(600))] == [False, False]


def test_without_a_config_nothing_has_a_limit(database: TestDatabase) -> None:
    database.create_mission(jobs=0)
    database.connection.execute("delete from scooters_ops.configs")
    database.record("mission_started", 0)
    database.record("point_arrived", 100, "p1")
    assert [
        (row["factor"], row["time_limit"], row["deadline"], row["is_overdue"])
        for row in intervals(database, at(600))
    ] == [(None, None, None, False)] * 2


@pytest.mark.parametrize("eta", ["25 hours", "1 day 1 hour"])
@pytest.mark.parametrize(
    "started_at",
    [datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)],
    ids=["spring", "autumn"],
)
def test_a_limit_has_the_same_hours_on_the_night_when_the_clocks_change(
    database: TestDatabase, eta: str, started_at: datetime
) -> None:
    database.apply_config(detection__timeouts__timeout_between_points__factor=1)
    database.create_mission()
    database.connection.execute(
        "update scooters_ops.mission_points set eta = %s where point_id = 'p1'", (eta,)
    )
    database.connection.execute(
        "select scooters_ops.record_event('m1', 'mission_started', null, %s)", (started_at,)
    )
    database.connection.execute("set timezone = 'Europe/Berlin'")
    deadline = started_at + timedelta(hours=25)
    on_time = only_interval(database, deadline)
    assert (on_time["deadline"], on_time["is_overdue"]) == (deadline, False)
    assert only_interval(database, deadline + timedelta(microseconds=1))["is_overdue"] is True


# --- open and closed ---


def test_an_open_interval_lasts_until_now_and_a_closed_one_until_it_was_closed(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_arrived", 9, "p1")
    assert [
        (row["is_open"], row["finished_at"], row["elapsed"]) for row in intervals(database, at(30))
    ] == [
        (False, at(9), timedelta(minutes=9)),
        (True, None, timedelta(minutes=21)),
    ]


@pytest.mark.parametrize("end", ["mission_completed", "mission_cancelled"])
def test_the_end_of_a_mission_closes_the_open_interval_and_opens_none(
    database: TestDatabase, end: str
) -> None:
    database.create_mission()
    database.record("point_arrived", 0, "p1")
    database.record(end, 5)
    assert spans(database) == [Span(IN_POINT, "p1", 0, 5, 5)]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_mission_that_is_over_without_an_end_event_has_no_open_interval(
    database: TestDatabase, status: str
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_arrived", 9, "p1")
    database.connection.execute("update scooters_ops.missions set status = %s", (status,))
    assert spans(database) == [Span(BETWEEN, "p1", 0, 9, 10)]


def test_a_mission_in_status_created_is_watched_if_it_has_events(
    database: TestDatabase,
) -> None:
    database.create_mission()
    write_history(database, "point_arrived", 0, "p1")
    assert database.value("select status from scooters_ops.missions") == "created"
    assert spans(database) == [Span(IN_POINT, "p1", 0, None, 5)]


# --- as of a given time ---


def test_only_events_up_to_as_of_are_seen(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_arrived", 9, "p2")
    database.record("point_completed", 13, "p2")
    assert spans(database, -0.1) == []
    assert spans(database, 8.9) == [Span(BETWEEN, "p1", 0, None, 10)]
    assert spans(database, 9) == [
        Span(BETWEEN, "p2", 0, 9, 20),
        Span(IN_POINT, "p2", 9, None, 5),
    ]


def test_a_mission_that_is_over_now_was_open_before_its_end(database: TestDatabase) -> None:
    database.create_mission()
    database.record("point_arrived", 0, "p1")
    database.record("mission_completed", 30)
    assert database.value("select status from scooters_ops.missions") == "completed"
    row = only_interval(database, at(20))
    assert (row["is_open"], row["elapsed"], row["is_overdue"]) == (
        True,
        timedelta(minutes=20),
        True,
    )


def test_the_view_is_as_of_now_and_sees_no_future_event(database: TestDatabase) -> None:
    database.create_mission()
    with database.connection.transaction():
        database.connection.execute(
            "insert into scooters_ops.missions_history (mission_id, type, point_id, occurred_at)"
            " values ('m1', 'point_arrived', 'p1', now()),"
            " ('m1', 'point_completed', 'p1', now() + interval '1 microsecond')"
        )
        seen = database.rows("select * from scooters_ops.mission_intervals")
        as_of_now = database.rows("select * from scooters_ops.mission_intervals_at(now())")
    assert seen == as_of_now
    assert [(row["point_id"], row["is_open"]) for row in seen] == [("p1", True)]


def test_the_timeouts_are_the_intervals_that_are_overdue(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", -300_000)
    database.record("point_arrived", -299_991, "p1")
    database.record("point_completed", -299_000, "p1")
    overdue = "select * from scooters_ops.mission_intervals where is_overdue"
    with database.connection.transaction():
        timeouts = database.rows("select * from scooters_ops.mission_timeouts")
        assert timeouts == database.rows(overdue)
    assert [(row["type"], row["point_id"], row["is_open"]) for row in timeouts] == [
        (IN_POINT, "p1", False),
        (BETWEEN, "p2", True),
    ]


# --- analysts ---

INTERVAL_COLUMNS = [
    "mission_id",
    "performer_id",
    "point_id",
    "type",
    "started_at",
    "finished_at",
    "eta",
    "factor",
    "time_limit",
    "deadline",
    "elapsed",
    "is_open",
    "is_overdue",
]
DELIVERY_COLUMNS = [
    "notification_id",
    "idempotency_token",
    "type",
    "mission_id",
    "point_id",
    "job_id",
    "channel",
    "target",
    "sended",
    "state",
    "attempts",
    "last_error",
    "reference",
    "created_at",
    "next_attempt_at",
    "sent_at",
]


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("mission_intervals", INTERVAL_COLUMNS),
        ("mission_timeouts", INTERVAL_COLUMNS),
        ("mission_intervals_at('2026-11-24')", INTERVAL_COLUMNS),
        ("notification_deliveries", DELIVERY_COLUMNS),
    ],
)
def test_a_view_keeps_its_columns_and_their_order(
    database: TestDatabase, view: str, columns: list[str]
) -> None:
    cursor = database.connection.execute(f"select * from scooters_ops.{view}")
    assert cursor.description is not None
    assert [column.name for column in cursor.description][: len(columns)] == columns


def test_an_interval_names_its_courier(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    assert only_interval(database, at(0))["performer_id"] == "c1"


def test_an_analyst_may_read_every_view_and_the_past(database: TestDatabase) -> None:
    views = database.values(
        "select format('%I.%I', schemaname, viewname) from pg_catalog.pg_views"
        " where schemaname = 'scooters_ops'"
    )
    assert len(views) >= 3
    database.create_mission()
    database.record("mission_started", 0)
    with database.connect(role="scooters_ops_analyst") as analyst:
        for view in [*views, "scooters_ops.mission_intervals_at('2026-11-24 14:00+00')"]:
            analyst.execute(f"select * from {view}")


def test_an_analyst_may_read_no_table(database: TestDatabase) -> None:
    tables = database.values(
        "select format('%I.%I', schemaname, tablename) from pg_catalog.pg_tables"
        " where schemaname = 'scooters_ops'"
    )
    assert len(tables) >= 6
    with database.connect(role="scooters_ops_analyst") as analyst:
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute(f"select * from {table}")
