"""create_mission and record_event: what they store and what they refuse."""

from __future__ import annotations

import copy
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.conftest import TestDatabase, at, until

MISSION: dict[str, Any] = {
    "mission_id": "m1",
    "performer_id": "c1",
    "attributes": {"city": "Moscow", "performer_name": "Anna"},
    "points": [
        {
            "point_id": "p1",
            "eta_seconds": 600,
            "jobs": [
                {"job_id": "j1", "type": "battery_exchange"},
                {"job_id": "j2", "type": "pickup", "eta_seconds": 90.5},
            ],
        },
        {"point_id": "p2", "eta_seconds": 0},
    ],
}
TABLES = ("missions", "mission_points", "mission_jobs", "missions_history", "mission_wakeups")
REMOVED = object()


def create(database: TestDatabase, mission: Any) -> str:
    return str(database.value("select scooters_ops.create_mission(%s)", json.dumps(mission)))


def changed(*path_and_value: Any) -> dict[str, Any]:
    """MISSION with another value at a path, or (REMOVED) without it."""
    *path, key, value = path_and_value
    mission = copy.deepcopy(MISSION)
    place: Any = mission
    for step in path:
        place = place[step]
    if value is REMOVED:
        del place[key]
    elif isinstance(place, list) and key == len(place):
        place.append(value)
    else:
        place[key] = value
    return mission


def counts(database: TestDatabase) -> list[int]:
    """The number of rows in each table that these functions write."""
    return [database.value(f"select count(*) from scooters_ops.{table}") for table in TABLES]


# --- create_mission -------------------------------------------------------------------------------


def test_a_mission_is_created_with_its_points_and_jobs(database: TestDatabase) -> None:
    assert create(database, MISSION) == "m1"
    assert database.rows(
        "select mission_id, performer_id, status, attributes from scooters_ops.missions"
    ) == [
        {
            "mission_id": "m1",
            "performer_id": "c1",
            "status": "created",
            "attributes": {"city": "Moscow", "performer_name": "Anna"},
        }
    ]
    assert database.rows(
        "select point_id, position, eta from scooters_ops.mission_points order by position"
    ) == [
        {"point_id": "p1", "position": 1, "eta": timedelta(minutes=10)},
        {"point_id": "p2", "position": 2, "eta": timedelta(0)},
    ]
    assert database.rows(
        "select point_id, job_id, type, eta, status from scooters_ops.mission_jobs order by job_id"
    ) == [
        {
            "point_id": "p1",
            "job_id": "j1",
            "type": "battery_exchange",
            "eta": None,
            "status": "planned",
        },
        {
            "point_id": "p1",
            "job_id": "j2",
            "type": "pickup",
            "eta": timedelta(seconds=90.5),
            "status": "planned",
        },
    ]


def test_positions_may_be_given_in_any_order_and_with_gaps(database: TestDatabase) -> None:
    points = [
        {"point_id": f"p{position}", "position": position, "eta_seconds": 60}
        for position in (30, 10, 20)
    ]
    create(database, changed("points", points))
    assert database.values(
        "select position from scooters_ops.mission_points order by position"
    ) == [10, 20, 30]


def test_a_mission_may_be_created_after_it_began(database: TestDatabase) -> None:
    mission = changed("status", "active")
    mission["points"][0]["jobs"][0]["status"] = "skipped"
    create(database, mission)
    assert database.value("select status from scooters_ops.missions") == "active"
    assert (
        database.value("select status from scooters_ops.mission_jobs where job_id = 'j1'")
        == "skipped"
    )
    assert database.tokens() == []


def test_two_points_may_have_jobs_of_the_same_id(database: TestDatabase) -> None:
    create(database, changed("points", 1, "jobs", [{"job_id": "j1", "type": "pickup"}]))
    assert database.value("select count(*) from scooters_ops.mission_jobs") == 3


@pytest.mark.parametrize(
    ("mission", "message"),
    [
        (
            changed("points", 2, {"point_id": "p1", "eta_seconds": 1}),
            'mission "m1": point "p1" is listed twice',
        ),
        (
            changed("points", 1, "position", 1),
            'mission "m1": two points have position 1',
        ),
        (
            changed("points", 0, "jobs", 2, {"job_id": "j1", "type": "pickup"}),
            'mission "m1": job "j1" is listed twice at point "p1"',
        ),
        (changed("points", 1, "eta_seconds", -1), "points[1].eta_seconds: must be at least 0"),
        (
            changed("points", 0, "jobs", 1, "eta_seconds", -0.5),
            "points[0].jobs[1].eta_seconds: must be at least 0",
        ),
        (
            changed("points", 1, "eta_seconds", 1e9),
            "points[1].eta_seconds: must be at most 31622400",
        ),
        (
            changed("points", 1, "eta_seconds", "600"),
            "points[1].eta_seconds: must be number, not string",
        ),
        (changed("points", 1, "eta_seconds", REMOVED), "points[1].eta_seconds: missing"),
        (changed("points", 1, "position", 0), "points[1].position: must be at least 1"),
        (
            changed("points", 1, "position", 1.5),
            "points[1].position: must be a whole number",
        ),
        (
            changed("status", "paused"),
            "status: must be one of created, active, completed, cancelled",
        ),
        (
            changed("points", 0, "jobs", 0, "status", "done"),
            "points[0].jobs[0].status: must be one of planned, completed, skipped",
        ),
        (changed("points", []), "points: must have 1 items or more"),
        (changed("points", REMOVED), "points: missing"),
        (changed("mission_id", ""), "mission_id: must have 1 characters or more"),
        (changed("mission_id", 7), "mission_id: must be string, not number"),
        (changed("performer_id", REMOVED), "performer_id: missing"),
        (changed("attributes", ["Moscow"]), "attributes: must be object, not array"),
        (changed("atributes", {}), "atributes: unknown key"),
        (changed("points", 0, "eta", 5), "points[0].eta: unknown key"),
        ([MISSION], "the document: must be object, not array"),
        (None, "the document: must be object, not null"),
    ],
)
def test_a_bad_mission_is_refused_with_the_culprit_named_and_nothing_is_stored(
    database: TestDatabase, mission: Any, message: str
) -> None:
    before = counts(database)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        create(database, mission)
    assert refusal.value.diag.message_primary == message
    assert counts(database) == before


def test_an_existing_mission_is_refused_and_stays_as_it_is(database: TestDatabase) -> None:
    create(database, MISSION)
    before = counts(database)
    with pytest.raises(psycopg.errors.UniqueViolation) as refusal:
        create(database, changed("performer_id", "c2"))
    assert refusal.value.diag.message_primary == 'mission "m1" exists already'
    assert counts(database) == before
    assert database.value("select performer_id from scooters_ops.missions") == "c1"


def test_null_is_refused_as_a_mission(database: TestDatabase) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="the document"):
        database.value("select scooters_ops.create_mission(null)")


# --- record_event ---------------------------------------------------------------------------------


def status(database: TestDatabase) -> str:
    return str(database.value("select status from scooters_ops.missions"))


def test_an_event_is_stored_as_it_was_reported(database: TestDatabase) -> None:
    create(database, MISSION)
    history_id = database.record("point_arrived", 5, "p1")
    assert database.rows("select * from scooters_ops.missions_history") == [
        {
            "history_id": history_id,
            "mission_id": "m1",
            "point_id": "p1",
            "type": "point_arrived",
            "occurred_at": at(5),
        }
    ]


def test_later_calls_have_higher_history_ids(database: TestDatabase) -> None:
    create(database, MISSION)
    ids = [database.record("point_arrived", minutes, "p1") for minutes in (5, 3, 5)]
    assert ids == sorted(set(ids))


def test_an_event_without_a_time_occurred_now(database: TestDatabase) -> None:
    create(database, MISSION)
    database.value("select scooters_ops.record_event('m1', 'mission_started')")
    assert database.value(
        "select now() - occurred_at < interval '1 minute' from scooters_ops.missions_history"
    )


def test_the_history_accepts_other_types(database: TestDatabase) -> None:
    create(database, MISSION)
    database.record("battery_low", 1)
    database.record("scanned", 2, "p1")
    assert database.value("select count(*) from scooters_ops.missions_history") == 2
    assert status(database) == "created"


def test_the_missions_status_follows_its_events(database: TestDatabase) -> None:
    create(database, MISSION)
    database.record("point_arrived", 1, "p1")
    assert status(database) == "created"
    database.record("mission_started", 0)
    assert status(database) == "active"
    database.record("mission_completed", 10)
    assert status(database) == "completed"
    database.record("mission_started", 0)
    assert status(database) == "completed"


def test_the_earlier_of_two_ends_gives_the_status_in_whatever_order_they_arrive(
    database: TestDatabase,
) -> None:
    create(database, MISSION)
    database.record("mission_completed", 10)
    assert status(database) == "completed"
    database.record("mission_cancelled", 12)
    assert status(database) == "completed"
    database.record("mission_cancelled", 8)
    assert status(database) == "cancelled"


@pytest.mark.parametrize("first", ["mission_completed", "mission_cancelled"])
def test_the_earlier_of_two_concurrent_ends_gives_the_status(
    database: TestDatabase, first: str
) -> None:
    """Whichever transaction commits first."""
    create(database, MISSION)
    call = "select scooters_ops.record_event('m1', %s, null, %s)"
    minutes = {"mission_completed": 10, "mission_cancelled": 8}
    (second,) = minutes.keys() - {first}
    with database.connect() as one, database.connect() as other, ThreadPoolExecutor(1) as pool:
        with one.transaction():
            one.execute(call, (first, at(minutes[first])))
            waiting = pool.submit(other.execute, call, (second, at(minutes[second])))
            until(
                lambda: database.value(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
            )
        waiting.result()
    assert status(database) == "cancelled"


def delete(database: TestDatabase, type_: str) -> None:
    database.connection.execute(
        "delete from scooters_ops.missions_history where mission_id = 'm1' and type = %s", (type_,)
    )


def test_a_mission_is_watched_again_when_its_end_is_deleted(
    database: TestDatabase,
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("mission_completed", 5)
    database.record("mission_cancelled", 10)
    assert database.detect(11) == 0
    delete(database, "mission_completed")
    assert status(database) == "cancelled"
    delete(database, "mission_cancelled")
    assert status(database) == "active"
    assert database.detect(16) == 1
    database.record("point_arrived", 17, "p1")
    delete(database, "mission_started")
    assert status(database) == "created"


def test_editing_the_end_of_a_mission_changes_its_status(database: TestDatabase) -> None:
    def statuses() -> list[str]:
        return database.values("select status from scooters_ops.missions order by mission_id")

    def edit(change: str, type_: str) -> None:
        database.connection.execute(
            f"update scooters_ops.missions_history set {change} where type = '{type_}'"
        )

    database.create_mission("m1")
    database.create_mission("m2")
    database.record("mission_started", 0)
    database.record("mission_completed", 10)
    assert statuses() == ["completed", "created"]
    edit("type = 'mission_cancelled'", "mission_completed")
    assert statuses() == ["cancelled", "created"]
    edit("mission_id = 'm2'", "mission_cancelled")
    assert statuses() == ["active", "cancelled"]
    edit("type = 'a note'", "mission_cancelled")
    # No event that counts is left, so the status before it is unknown and stays.
    assert statuses() == ["active", "cancelled"]
    edit("type = 'mission_completed'", "a note")
    assert statuses() == ["active", "completed"]


def test_a_mission_completed_by_hand_stays_completed(database: TestDatabase) -> None:
    create(database, MISSION)
    database.record("mission_started", 0)
    database.connection.execute("update scooters_ops.missions set status = 'completed'")
    database.connection.execute(
        "update scooters_ops.missions_history set occurred_at = occurred_at + interval '1 s'"
    )
    database.record("point_arrived", 1, "p1")
    delete(database, "mission_started")
    assert status(database) == "completed"


def test_deleting_old_history_leaves_the_status(database: TestDatabase) -> None:
    create(database, MISSION)
    database.record("mission_started", 0)
    database.record("mission_completed", 10)
    database.connection.execute("delete from scooters_ops.missions_history")
    assert status(database) == "completed"


def test_pruning_updates_the_status_after_events_were_inserted_directly(
    database: TestDatabase,
) -> None:
    for mission_id in ("m1", "m2", "m3"):
        database.create_mission(mission_id)
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, type, occurred_at) values"
        " ('m1', 'mission_started', %(start)s), ('m1', 'mission_cancelled', %(end)s),"
        " ('m2', 'mission_started', %(start)s)",
        {"start": at(0), "end": at(1)},
    )
    database.connection.execute("call scooters_ops.prune_in_batches()")
    assert database.values("select status from scooters_ops.missions order by mission_id") == [
        "cancelled",
        "active",
        "created",
    ]


REFUSED: list[tuple[str, type[psycopg.Error], str]] = [
    (
        "'m9', 'mission_started'",
        psycopg.errors.NoDataFound,
        'no mission "m9"',
    ),
    ("null, 'mission_started'", psycopg.errors.NoDataFound, "no mission"),
    (
        "'m1', 'point_arrived', 'p9'",
        psycopg.errors.NoDataFound,
        'mission "m1" has no point "p9"',
    ),
    ("'m1', 'scanned', 'p9'", psycopg.errors.NoDataFound, 'mission "m1" has no point "p9"'),
    (
        "'m1', 'point_completed'",
        psycopg.errors.InvalidParameterValue,
        'mission "m1": point_completed needs a point_id',
    ),
    (
        "'m1', 'mission_completed', 'p1'",
        psycopg.errors.InvalidParameterValue,
        'mission "m1": mission_completed concerns the whole mission and takes no point_id ("p1")',
    ),
    (
        "'m1', null",
        psycopg.errors.InvalidParameterValue,
        'mission "m1": an event needs a type',
    ),
    (
        "'m1', ''",
        psycopg.errors.InvalidParameterValue,
        'mission "m1": an event needs a type',
    ),
    (
        "'m1', 'mission_started', null, null",
        psycopg.errors.InvalidParameterValue,
        'mission "m1": occurred_at must be from 1970 to 9999, not null',
    ),
    (
        "'m1', 'mission_started', null, 'infinity'",
        psycopg.errors.InvalidParameterValue,
        'mission "m1": occurred_at must be from 1970 to 9999, not infinity',
    ),
    (
        "'m1', 'mission_started', null, '1969-12-31 23:59:59+00'",
        psycopg.errors.InvalidParameterValue,
        'mission "m1": occurred_at must be from 1970 to 9999, not 1969-12-31 23:59:59+00',
    ),
    (
        "'m1', 'mission_started', null, '20000-01-01 00:00+00'",
        psycopg.errors.InvalidParameterValue,
        'mission "m1": occurred_at must be from 1970 to 9999, not 20000-01-01 00:00:00+00',
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_a_bad_event_is_refused_with_the_culprit_named_and_changes_nothing(
    database: TestDatabase, arguments: str, error: type[psycopg.Error], message: str
) -> None:
    create(database, MISSION)
    before = counts(database)
    with pytest.raises(error) as refusal:
        database.value(f"select scooters_ops.record_event({arguments})")
    assert refusal.value.diag.message_primary is not None
    assert refusal.value.diag.message_primary.startswith(message)
    assert counts(database) == before
    assert status(database) == "created"


@pytest.mark.parametrize(
    "values",
    [
        "('m1', null, 'point_arrived', now())",
        "('m1', null, 'mission_started', 'infinity')",
        "('m1', null, 'mission_started', '1969-01-01')",
        "(null, null, 'mission_started', now())",
        "('m1', null, null, now())",
    ],
)
def test_events_inserted_directly_are_checked(database: TestDatabase, values: str) -> None:
    with pytest.raises(psycopg.IntegrityError):
        database.connection.execute(
            "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)"
            f" values {values}"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "insert into scooters_ops.mission_points values ('m1', 'p9', 9, '-1 second')",
        "insert into scooters_ops.mission_points values ('m1', 'p9', 9, '367 days')",
        "insert into scooters_ops.mission_points values ('m1', 'p9', 2, '1 second')",
        "insert into scooters_ops.mission_points values ('m1', 'p9', 0, '1 second')",
        "insert into scooters_ops.mission_points values ('m1', 'p1', 9, '1 second')",
        "insert into scooters_ops.mission_points values ('m9', 'p1', 9, '1 second')",
        "insert into scooters_ops.mission_jobs values ('m1', 'p9', 'j1', 'pickup')",
        "update scooters_ops.mission_jobs set eta = '-1 second'",
        "update scooters_ops.mission_jobs set status = 'done'",
        "update scooters_ops.missions set status = 'done'",
        "update scooters_ops.missions set attributes = '[]'",
    ],
)
def test_plans_changed_directly_are_checked(database: TestDatabase, statement: str) -> None:
    create(database, MISSION)
    with pytest.raises(psycopg.IntegrityError):
        database.connection.execute(statement)


@pytest.mark.parametrize("column", ["mission_id", "point_id"])
def test_an_identifier_too_long_for_a_token_is_refused(database: TestDatabase, column: str) -> None:
    names = {"mission_id": "m1", "point_id": "p1"} | {column: "x" * 256}
    with pytest.raises(psycopg.errors.CheckViolation, match="missions_history_length_check"):
        database.connection.execute(
            "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)"
            " values (%(mission_id)s, %(point_id)s, 'point_arrived', now())",
            names,
        )


# --- The types of events --------------------------------------------------------------------------

TYPES_OF = {
    kind: f"select unnest(scooters_ops.{kind}())"
    for kind in ("mission_start_types", "point_event_types", "mission_end_types")
}


def test_the_tables_agree_with_the_event_types(database: TestDatabase) -> None:
    """A check constraint and statistics cannot call the function, so they repeat the names."""
    point_types = database.values(TYPES_OF["point_event_types"])
    for definition in database.values(
        """
        select pg_get_constraintdef(oid) from pg_constraint
        where conname = 'missions_history_point_id_check'
        union all
        select pg_get_statisticsobjdef_expressions(oid)::text from pg_statistic_ext
        where stxname = 'missions_history_events_stats'
        """
    ):
        assert re.findall(r"\'(\w+_\w+)\'", definition) == point_types


def test_the_comments_name_every_event_type(database: TestDatabase) -> None:
    types = {type for query in TYPES_OF.values() for type in database.values(query)}
    comments = database.values(
        """
        select col_description(attrelid, attnum) from pg_attribute
        where attname = 'type' and attrelid in (
            'scooters_ops.missions_history'::regclass, 'scooters_ops.mission_events'::regclass
        )
        """
    )
    assert len(comments) == 2
    for comment in comments:
        assert set(re.findall(r"(?:mission|point)_\w+", comment)) == types


def test_an_event_type_opens_an_interval_unless_it_ends_the_mission(
    database: TestDatabase,
) -> None:
    opened = "select scooters_ops.interval_type_opened_by(%s)::text"
    for kind, query in TYPES_OF.items():
        for type in database.values(query):
            assert database.value("select scooters_ops.opens_or_closes_interval(%s)", type)
            assert (database.value(opened, type) is None) == (kind == "mission_end_types")
    assert not database.value("select scooters_ops.opens_or_closes_interval('scanned')")
    assert database.value(opened, "scanned") is None
