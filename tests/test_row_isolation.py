"""A bad row affects no other row: whatever the attributes of one mission hold, all other missions
are delivered and shown, and so is what can be shown of that mission."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from notifier.database.jsonb import MAX_DEPTH, loads
from tests.board_rigs import serving
from tests.conftest import TestDatabase
from tests.delivery_rigs import GROUP, TELEGRAM, House, make_house
from tests.http_rigs import TOKEN, http_process, http_user

pytestmark = pytest.mark.slow

HUGE = '{"city": 1e5000, "zone": -2.5e5000, "battery": 1e-5000}'
DEEP = 13_000
"""About the depth of JSON that PostgreSQL can parse."""
ODD_ATTRIBUTES = {
    "huge numbers": HUGE,
    "a long number": f'{{"city": {"9" * 5000}}}',
    "deep arrays": f'{{"city": {"[" * DEEP}{"]" * DEEP}, "zone": "North"}}',
    "deep objects": '{"a": ' * 12_000 + "1" + "}" * 12_000,
    "a thousand levels": f'{{"zone": {"[" * 1000}{"]" * 1000}}}',
}


@pytest.fixture
def house(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with make_house(database) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        # Whoever matches them looks at every attribute.
        asks_much = {"city": "Moscow", "zone": 7, "battery": [1, "1"], "a": True, "at": "always"}
        made.configure(
            TELEGRAM,
            calendars={
                "always": {
                    "from": "00:00",
                    "to": "24:00",
                    "time_zone": {"attribute": "city"},
                }
            },
            detection__overrides=[
                {"name": "asks much", "match": asks_much},
                {"name": "always", "match": {"at": "always"}},
            ],
            routes=[
                {"match": asks_much, "recipients": []},
                {"match": {"at": "always"}, "recipients": [TELEGRAM]},
            ],
        )
        yield made


def insert_unchecked(database: TestDatabase, mission_id: str, attributes: str) -> None:
    """A mission whose attributes were never checked, because it is older than the limits or was
    written by a subscription. It has been on its way for hours, and its job is skipped."""
    database.create_mission(mission_id, 1)
    with database.connection.transaction():
        database.connection.execute("set local session_replication_role = replica")
        database.connection.execute(
            "update scooters_ops.missions set attributes = %s where mission_id = %s",
            (attributes, mission_id),
        )
    database.value(
        "select scooters_ops.record_event(%s, 'point_arrived', 'p1', now() - interval '2 h')",
        mission_id,
    )
    database.value("select scooters_ops.skip_job(%s, 'p1', 'j1')", mission_id)


@pytest.mark.parametrize("attributes", ODD_ATTRIBUTES.values(), ids=ODD_ATTRIBUTES)
def test_a_mission_with_odd_attributes_does_not_affect_others(
    house: House, attributes: str
) -> None:
    """In detection, planning, delivery and every query for notifications."""
    database = house.database
    insert_unchecked(database, "m1", attributes)
    house.skip("m2")
    assert database.value("select scooters_ops.detect_timeouts()") == 1
    house.run_once()
    assert set(house.states()) == {"sent"}
    assert len(house.telegram.messages) == 3
    assert database.values("select rule from scooters_ops.interval_history") == ["always"]
    shown = house.cli("preview", "job_skipped", "--token", "m1_p1_j1_job_skipped")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "m1" in shown.stdout


@pytest.mark.parametrize("attributes", ODD_ATTRIBUTES.values(), ids=ODD_ATTRIBUTES)
def test_the_board_shows_every_mission_despite_odd_attributes(
    database: TestDatabase, attributes: str
) -> None:
    for mission_id, held in (("odd", attributes), ("even", "{}")):
        insert_unchecked(database, mission_id, held)
    database.value("select scooters_ops.detect_timeouts()")
    with serving(database) as served:
        page = httpx.get(served.url + "/board")
        assert page.status_code == 200
        assert page.text.count("/board/missions/odd?") >= 2  # a mission, and its notifications
        assert page.text.count("/board/missions/even?") >= 2
        own = httpx.get(served.url + "/board/missions/odd")
        assert own.status_code == 200
        if attributes == HUGE:
            assert "2.5E+5000" in own.text


def test_only_the_mission_with_unreadable_facts_fails_and_its_error_says_why(house: House) -> None:
    good, bad = house.skip("m1"), house.skip("m2")
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        ' set details = details || \'{"skipped_at": "the day before yesterday"}\''
        " where idempotency_token = %s",
        (bad,),
    )
    house.run_once()
    reasons = {row["idempotency_token"]: row["last_error"] for row in house.deliveries()}
    assert reasons[good] is None
    assert reasons[bad]
    assert [chat for chat, _ in sent(house)] == [GROUP]
    shown = house.cli("preview", "job_skipped", "--token", bad)
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr


def sent(house: House) -> list[tuple[int, str]]:
    return [(message.chat_id, message.text) for message in house.telegram.messages]


def test_only_the_notification_that_cannot_be_shown_is_left_out_of_the_board(
    database: TestDatabase,
) -> None:
    for mission_id in ("odd", "even"):
        insert_unchecked(database, mission_id, "{}")
    database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        ' set details = details || \'{"factor": [], "elapsed_seconds": "long"}\''
        " where mission_id = 'odd'"
    )
    with serving(database) as served:
        page = httpx.get(served.url + "/board")
        assert page.status_code == 200
        assert "even" in page.text
        assert httpx.get(served.url + "/board/missions/odd").status_code == 200


@pytest.mark.parametrize("part", ["{}", "[]"])
def test_json_of_any_depth_and_with_any_number_can_be_read(part: str) -> None:
    begin, end = ('{"a":', "}") if part == "{}" else ("[", "]")
    for depth in (MAX_DEPTH, MAX_DEPTH + 1, 1000, 100_000):
        text = f'[{begin * depth}"]}}{{[\\""{end * depth}, 7]'
        document = loads(text)
        assert document[1] == 7
        if depth < MAX_DEPTH:
            assert document == json.loads(text)
    assert loads('{"a": 1.5, "b": [1, -7, "x", null, true]}') == {
        "a": 1.5,
        "b": [1, -7, "x", None, True],
    }


# --- Limits on what is written --------------------------------------------------------------------


def nested(depth: int) -> Any:
    document: Any = 1
    for _ in range(depth):
        document = [document]
    return document


def mission(**changes: Any) -> dict[str, Any]:
    return {
        "mission_id": "m1",
        "performer_id": "c1",
        "points": [{"point_id": "p1", "eta_seconds": 60}],
        **changes,
    }


def points(count: int, jobs: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "point_id": f"p{n}",
            "eta_seconds": 60,
            "jobs": [{"job_id": f"j{job}", "type": "pickup"} for job in range(jobs)],
        }
        for n in range(count)
    ]


TOO_LARGE = {
    "performer_id": mission(performer_id="я" * 128),
    "mission_id": mission(mission_id="m" * 256),
    "attributes: must have 65536 bytes": mission(attributes={"a": "x" * 65_536}),
    "attributes: must be nested 32 deep": mission(attributes={"a": nested(32)}),
    "points: must have 10000 items": mission(points=points(10_001)),
    "points[0].jobs: must have 1000 items": mission(points=points(1, 1001)),
    "points: must have 10000 jobs": mission(points=points(11, 1000)),
    "points[0].jobs[0].type": mission(
        points=[{"point_id": "p1", "eta_seconds": 1, "jobs": [{"job_id": "j", "type": "я" * 128}]}]
    ),
    "points[0].eta_seconds": mission(points=[{"point_id": "p1", "eta_seconds": 1e301}]),
}


@pytest.mark.parametrize("culprit", TOO_LARGE)
def test_a_mission_that_is_too_large_is_refused_with_the_culprit_named(
    database: TestDatabase, culprit: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        database.value("select scooters_ops.create_mission(%s)", json.dumps(TOO_LARGE[culprit]))
    assert culprit in str(refusal.value.diag.message_primary)
    assert len(str(refusal.value)) < 500
    assert database.value("select count(*) from scooters_ops.missions") == 0


def test_a_mission_of_the_largest_allowed_size_is_created(database: TestDatabase) -> None:
    large = mission(
        performer_id="я" * 127,
        attributes={"a": "x" * 65_000, "b": nested(31)},
        points=points(1000, 10),
    )
    database.value("select scooters_ops.create_mission(%s)", json.dumps(large))
    assert database.value("select count(*) from scooters_ops.mission_jobs") == 10_000


def test_an_event_whose_type_is_too_long_is_refused(database: TestDatabase) -> None:
    database.create_mission()
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r'^mission "m1": type: '):
        database.value("select scooters_ops.record_event('m1', repeat('x', 256))")
    database.value("select scooters_ops.record_event('m1', repeat('x', 255))")


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        ("update scooters_ops.missions set performer_id = repeat('x', 256)", "performer_id"),
        (
            "insert into scooters_ops.missions (mission_id, performer_id)"
            " values ('m2', repeat('x', 256))",
            "performer_id",
        ),
        (
            "update scooters_ops.missions"
            " set attributes = jsonb_build_object('a', repeat('x', 65536))",
            "attributes",
        ),
        (
            "update scooters_ops.missions set attributes"
            " = ('{\"a\": ' || repeat('[', 32) || repeat(']', 32) || '}')::jsonb",
            "attributes",
        ),
        ("update scooters_ops.mission_jobs set type = repeat('x', 256)", "type"),
        (
            "insert into scooters_ops.missions_history (mission_id, type, occurred_at)"
            " values ('m1', repeat('x', 256), now())",
            "type",
        ),
    ],
)
def test_the_same_limits_apply_to_rows_that_are_inserted_directly(
    database: TestDatabase, statement: str, column: str
) -> None:
    database.create_mission()
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=rf'^mission "m\d": .*{column}'):
        database.connection.execute(statement)


def test_a_row_that_is_older_than_the_limits_can_still_be_updated(database: TestDatabase) -> None:
    insert_unchecked(database, "m1", json.dumps({"a": "x" * 70_000, "b": nested(40)}))
    for kind in ("mission_started", "mission_completed"):
        database.value("select scooters_ops.record_event('m1', %s)", kind)
    assert database.value("select status from scooters_ops.missions") == "completed"


def best_of_two(milliseconds: Callable[[int], float], count: int) -> float:
    """The shorter of two times, because the machine may be busy."""
    return min(milliseconds(count), milliseconds(count))


def test_the_time_to_check_a_plan_is_linear(database: TestDatabase) -> None:
    """Ten times the points take about ten times as long, not a hundred times."""

    def milliseconds(count: int) -> float:
        database.connection.execute("delete from scooters_ops.missions")
        text = json.dumps(mission(points=points(count, 1)))
        (plan,) = database.value(
            "explain (analyze, format json) select scooters_ops.create_mission(%s)", text
        )
        return float(plan["Execution Time"])

    milliseconds(10)  # fills caches
    assert best_of_two(milliseconds, 4000) < 30 * best_of_two(milliseconds, 400)


def test_the_time_to_check_a_config_is_linear(database: TestDatabase) -> None:
    route = {"match": {"city": ["Moscow", "Kazan"]}, "recipients": []}

    def milliseconds(count: int) -> float:
        (plan,) = database.value(
            "explain (analyze, format json) select scooters_ops.validate_json("
            "jsonb_build_object('routes', (select jsonb_agg(%s::jsonb) from"
            " generate_series(1, %s))), scooters_ops.config_schema() - 'required')",
            json.dumps(route),
            count,
        )
        return float(plan["Execution Time"])

    milliseconds(10)
    assert best_of_two(milliseconds, 3000) < 30 * best_of_two(milliseconds, 300)


# --- The same over HTTP ---------------------------------------------------------------------------


def test_over_http_a_request_that_can_never_succeed_is_answered_422(database: TestDatabase) -> None:
    with http_user(database) as environment, http_process(environment) as http:
        bodies = {name: json.dumps(document) for name, document in TOO_LARGE.items()}
        text = json.dumps(mission(attributes=None))
        for name, attributes in ODD_ATTRIBUTES.items():
            bodies[name] = text.replace("null", attributes)
        bodies["deeper than the server reads"] = text.replace("null", "[" * 200_000 + "]" * 200_000)
        bodies["a number beyond all bounds"] = text.replace("null", '{"a": 1e999999999}')
        bodies["a number without end"] = text.replace("null", '{"a": Infinity}')
        for name, body in bodies.items():
            answer = http.client.post(
                "/v1/missions", content=body, headers={"Content-Type": "application/json"}
            )
            expected = 201 if name in ("huge numbers", "a long number") else 422
            assert answer.status_code == expected, (name, answer.text[:300])
            assert len(answer.text) < 1000
            database.connection.execute("delete from scooters_ops.missions")
        database.create_mission()
        for event in ({"type": "x" * 256}, {"type": "я" * 200}):
            assert http.record("m1", event).status_code == 422
        for value in ("[" * 100_000 + "]" * 100_000, "9" * 5000, "1e5000", "NaN"):
            answer = http.client.post(
                "/v1/missions/m1/events",
                content=f'{{"type": {value}}}',
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code in (400, 422), answer.text
        assert http.client.get("/healthz", headers={"Authorization": TOKEN}).status_code == 200
        assert " bug " not in http.log
        assert "http_without_database" not in http.log
