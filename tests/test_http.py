"""The HTTP API that the mission service calls, on a real server."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from notifier.history import EVENT_TYPES
from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.conftest import PATIENCE_SECONDS, TestDatabase, at, shared_database, until
from tests.http_rigs import (
    TOKEN,
    HttpProcess,
    away,
    end_sessions,
    http_process,
    http_user,
    is_problem,
    skip_url,
    url_of,
)
from tests.pages import DOCS

ODD = [
    "a/b",
    "a%2Fb",
    "ю я",
    "?#&=",
    "..x",
    "'; drop table missions; --",
    '"',
    "\\",
    "+",
    "😀",
    "\n",
]


@pytest.fixture(scope="module")
def served(cluster: Postgres) -> Iterator[tuple[TestDatabase, HttpProcess]]:
    with (
        shared_database(cluster) as database,
        http_user(database) as environment,
        http_process(environment) as serving,
    ):
        yield database, serving


@pytest.fixture
def clean(served: tuple[TestDatabase, HttpProcess]) -> tuple[TestDatabase, HttpProcess]:
    """The server that the module's tests share, with its database emptied."""
    database, serving = served
    database.connection.execute(
        "truncate scooters_ops.missions, scooters_ops.missions_history,"
        " scooters_ops.monitoring_notifications, scooters_ops.event_keys cascade"
    )
    return database, serving


@pytest.fixture
def http(clean: tuple[TestDatabase, HttpProcess]) -> HttpProcess:
    return clean[1]


@pytest.fixture
def database(clean: tuple[TestDatabase, HttpProcess]) -> TestDatabase:
    return clean[0]


# --- skip ----------------------------------------------------------------------------------------


def test_the_first_skip_says_true_and_notifies_and_the_second_says_false(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    answers = [http.skip("m1", "p2", "j1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json() for answer in answers] == [{"skipped": True}, {"skipped": False}]
    assert database.tokens() == ["m1_p2_j1_job_skipped"]


def test_a_hundred_skips_at_once_make_one_notification(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    with database.connect() as other, ThreadPoolExecutor(100) as pool:
        with other.transaction():  # until all four connections wait
            other.execute("select from scooters_ops.mission_jobs for update")
            calls = [pool.submit(http.skip, "m1", "p1", "j1") for _ in range(100)]
            until(lambda: _waiting(database, "skip_job") == 4)
        answers = [call.result() for call in calls]
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["skipped"] for answer in answers) == [False] * 99 + [True]
    assert database.tokens() == ["m1_p1_j1_job_skipped"]


def _waiting(database: TestDatabase, function: str) -> int:
    """How many sessions wait for a lock inside that function."""
    return int(
        database.value(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and wait_event_type = 'Lock' and query like %s",
            f"%{function}%",
        )
    )


def test_skipping_an_unknown_job_is_404_and_a_completed_one_409(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    database.connection.execute(
        "update scooters_ops.mission_jobs set status = 'completed' where point_id = 'p3'"
    )
    unknown, completed = http.skip("m1", "p1", "j9"), http.skip("m1", "p3", "j1")
    assert is_problem(unknown, 404)
    assert unknown.json()["detail"] == 'no job "j9" at point "p1" of mission "m1"'
    assert is_problem(completed, 409)
    assert "is completed" in completed.json()["detail"]
    assert database.tokens() == []


@pytest.mark.parametrize("name", ODD)
def test_identifiers_hold_any_character(
    database: TestDatabase, http: HttpProcess, name: str
) -> None:
    job = {"job_id": name, "type": "pickup"}
    point = {"point_id": name, "eta_seconds": 60, "jobs": [job]}
    mission = {"mission_id": name, "performer_id": name, "points": [point]}
    assert http.post("/v1/missions", mission).json() == {"mission_id": name}
    assert http.record(name, {"type": "point_arrived", "point_id": name}).status_code == 201
    assert http.skip(name, name, name).json() == {"skipped": True}
    assert database.values("select mission_id from scooters_ops.missions_history") == [name]
    assert database.values("select job_id from scooters_ops.monitoring_notifications") == [name]


@pytest.mark.parametrize("segment", ["%FF", "%00", "%ED%A0%80", "a%00b"])
def test_a_path_that_is_not_text_is_refused(http: HttpProcess, segment: str) -> None:
    path = f"/v1/missions/{segment}/points/p1/jobs/j1/skip"
    assert is_problem(http.client.post(path), 422)


def test_a_path_is_the_same_however_it_is_encoded(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission("m~1")
    path = "/%761/missions/%6d%7e1/points/%70%31/jobs/j1/ski%70"
    assert http.client.post(path).json() == {"skipped": True}


# --- missions and events -------------------------------------------------------------------------


MISSION: dict[str, Any] = {
    "mission_id": "m1",
    "performer_id": "c1",
    "attributes": {"city": "Moscow"},
    "points": [
        {"point_id": "p1", "eta_seconds": 600, "jobs": [{"job_id": "j1", "type": "pickup"}]},
        {"point_id": "p2", "eta_seconds": 300.5},
    ],
}


def test_a_mission_is_created_once(database: TestDatabase, http: HttpProcess) -> None:
    first, second = (http.post("/v1/missions", MISSION) for _ in range(2))
    assert (first.status_code, first.json()) == (201, {"mission_id": "m1"})
    assert is_problem(second, 409)
    assert second.json()["detail"] == 'mission "m1" exists already'
    assert database.values("select point_id from scooters_ops.mission_points") == ["p1", "p2"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": []}, "points: must have 1 items or more"),
        ({"colour": "red"}, "colour: unknown key"),
        ({"performer_id": 7}, "performer_id: must be string, not number"),
        ({"mission_id": "я" * 200}, "mission_id: must have 255 bytes or less"),
        ({"mission_id": "a\0b"}, "unsupported Unicode escape sequence"),
        ({"attributes": {"a": "\ud800"}}, "invalid input syntax for type json"),
        ({"points": MISSION["points"][:1] * 2}, 'mission "m1": point "p1" is listed twice'),
    ],
)
def test_a_malformed_mission_is_refused_with_the_path_of_its_key_and_nothing_is_stored(
    database: TestDatabase, http: HttpProcess, change: dict[str, Any], said: str
) -> None:
    answer = http.post("/v1/missions", MISSION | change)
    assert is_problem(answer, 422)
    assert answer.json()["detail"] == said
    assert database.value("select count(*) from scooters_ops.missions") == 0


def test_an_event_is_recorded_with_its_timestamp_or_now(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    started = http.record("m1", {"type": "mission_started", "occurred_at": at(3).isoformat()})
    arrived = http.record("m1", {"type": "point_arrived", "point_id": "p1"})
    assert (started.status_code, arrived.status_code) == (201, 201)
    rows = database.rows(
        "select history_id, type, point_id, occurred_at > now() - interval '1 minute' as is_new,"
        " occurred_at from scooters_ops.missions_history order by history_id"
    )
    assert [(row["history_id"], row["type"], row["point_id"]) for row in rows] == [
        (started.json()["history_id"], "mission_started", None),
        (arrived.json()["history_id"], "point_arrived", "p1"),
    ]
    assert rows[0]["occurred_at"] == at(3)
    assert rows[1]["is_new"]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({}, 422),
        ({"type": ""}, 422),
        ({"type": 1}, 422),
        ({"type": "point_arrived"}, 422),
        ({"type": "mission_started", "point_id": "p1"}, 422),
        ({"type": "mission_started", "occurred_at": "2026-11-24T12:00:00"}, 422),
        ({"type": "mission_started", "occurred_at": 1700000000}, 422),
        ({"type": "x" * 256}, 422),
        ({"type": "mission_started", "\ud800": 1}, 422),
        ({"type": "point_arrived", "point_id": "\ud800"}, 422),
        ({"type": "mission_started", "occurred_at": "1969-11-24T12:00:00Z"}, 422),
        ({"type": "mission_started", "colour": "red"}, 422),
        ({"type": "a\0b"}, 422),
        ({"type": "a\ud800b"}, 422),
        ({"type": "point_arrived", "point_id": "p9"}, 404),
    ],
)
def test_a_bad_event_is_refused(
    database: TestDatabase, http: HttpProcess, event: dict[str, Any], status: int
) -> None:
    database.create_mission()
    assert is_problem(http.record("m1", event), status)
    assert is_problem(http.record("m1", event, "k1"), status)
    assert database.value("select count(*) from scooters_ops.missions_history") == 0
    assert database.value("select count(*) from scooters_ops.event_keys") == 0


NOT_TIMESTAMPS = [
    *("1700000000", "1764000000000", "20261124", "now", "today", "yesterday", "infinity", "epoch"),
    *("-infinity", "01/02/2026", "01/02/2026 12:00+00", "24.11.2026 12:00Z", "12:00Z"),
    *("2026-11-24T12:00:00", "2026-11-24T12:00:00 Europe/Moscow", "2026-11-24T12:00:00 MSK", ""),
    *("2026-11-24", "2026-11-24Z"),
    *("20261124T120000Z", "2026-W48-2T12:00:00Z", "2026-328T12:00:00Z", "2026-11-24T12Z", " "),
    *("2026-02-30T12:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T12:60:00Z", "0000-01-01T00:00Z"),
    *("2026-11-24T12:00:61Z", "2026-11-24T12:00:00+25:00", "2026-11-24T12:00:00+03:60"),
    *("+2026-11-24T12:00:00Z", "12026-11-24T12:00:00Z", "٢٠٢٦-11-24T12:00:00Z", "PT1H"),
    *("2026-11-24T12:00:00Z\n", "2026-11-24T12:00:00.Z", "0001-01-01T00:00:00+01:00"),
    *("9999-12-31T23:59:59-01:00", "1969-12-31T23:59:59Z"),
]


@pytest.mark.parametrize("moment", NOT_TIMESTAMPS)
def test_an_unclear_timestamp_is_refused_and_its_key_named(
    database: TestDatabase, http: HttpProcess, moment: str
) -> None:
    database.create_mission()
    answer = http.record("m1", {"type": "mission_started", "occurred_at": moment})
    assert is_problem(answer, 422)
    assert "occurred_at" in json.dumps(answer.json())
    assert database.value("select count(*) from scooters_ops.missions_history") == 0


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-24T12:00:00Z", "2026-11-24 12:00:00+00"),
        ("2026-11-24t12:00:00z", "2026-11-24 12:00:00+00"),
        ("2026-11-24 15:00:00+03", "2026-11-24 12:00:00+00"),
        ("2026-11-24T15:00:00+0300", "2026-11-24 12:00:00+00"),
        ("2026-11-24T08:30:00-03:30", "2026-11-24 12:00:00+00"),
        ("2026-11-24T12:00Z", "2026-11-24 12:00:00+00"),
        ("2026-11-24T12:00:00.5Z", "2026-11-24 12:00:00.5+00"),
        ("2026-11-24T12:00:00.123456789Z", "2026-11-24 12:00:00.123456+00"),
        ("2016-12-31T23:59:60Z", "2017-01-01 00:00:00+00"),
        ("2026-11-25T11:59:00+23:59", "2026-11-24 12:00:00+00"),
    ],
)
def test_timestamps_are_read_as_rfc_3339_and_postgresql_write_them(
    database: TestDatabase, http: HttpProcess, written: str, meant: str
) -> None:
    database.create_mission()
    event = {"type": "mission_started", "occurred_at": written}
    assert http.record("m1", event).status_code == 201
    assert database.value(
        "select occurred_at = %s::timestamptz from scooters_ops.missions_history", meant
    )


@pytest.mark.parametrize("kind", ["point_arived", "mission_started ", "photo_taken"])
def test_an_event_of_an_unknown_type_is_kept_and_the_answer_says_that_it_has_no_effect(
    database: TestDatabase, http: HttpProcess, kind: str
) -> None:
    database.create_mission()
    for type_, counts in ((kind, False), ("mission_started", True)):
        answer = http.record("m1", {"type": type_}, f"key-of-{counts}")
        assert (answer.status_code, answer.json()["counts"]) == (201, counts)
        assert http.record("m1", {"type": type_}, f"key-of-{counts}").json() == answer.json()
    assert database.values("select type from scooters_ops.missions_history") == [
        kind,
        "mission_started",
    ]


def test_the_event_types_are_those_that_open_or_close_an_interval(database: TestDatabase) -> None:
    decide = "select scooters_ops.opens_or_closes_interval(%s)"
    assert all(database.value(decide, each) for each in EVENT_TYPES)
    assert not database.value(decide, "photo_taken")


def test_a_repeated_key_gets_the_first_answer_and_records_nothing(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    event = {"type": "point_arrived", "point_id": "p1", "occurred_at": at(0).isoformat()}
    first = http.record("m1", event, "k1")
    same_time = event | {"occurred_at": "2026-11-24T15:00:00+03:00"}
    for repeated in (event, same_time):
        again = http.record("m1", repeated, "k1")
        assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert database.value("select count(*) from scooters_ops.missions_history") == 1


def test_a_key_without_a_timestamp_is_recognized_too(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    first, second = (http.record("m1", {"type": "mission_started"}, "k1") for _ in range(2))
    assert first.json() == second.json()
    assert database.value("select count(*) from scooters_ops.missions_history") == 1


@pytest.mark.parametrize(
    "other",
    [
        {"type": "point_completed", "point_id": "p1"},
        {"type": "point_arrived", "point_id": "p2"},
        {"type": "point_arrived", "point_id": "p1", "occurred_at": "2026-11-24T12:00:00Z"},
    ],
)
def test_a_key_that_was_used_for_another_event_is_refused(
    database: TestDatabase, http: HttpProcess, other: dict[str, Any]
) -> None:
    database.create_mission()
    http.record("m1", {"type": "point_arrived", "point_id": "p1"}, "k1")
    refused = http.record("m1", other, "k1")
    assert is_problem(refused, 422)
    assert refused.json()["detail"] == (
        'mission "m1": idempotency key "k1" was used for another event'
    )
    assert database.value("select count(*) from scooters_ops.missions_history") == 1


def test_each_mission_has_its_own_keys(database: TestDatabase, http: HttpProcess) -> None:
    for mission_id in ("m1", "m2"):
        database.create_mission(mission_id)
        assert http.record(mission_id, {"type": "mission_started"}, "1").status_code == 201
    assert database.value("select count(*) from scooters_ops.missions_history") == 2


def test_a_repeated_call_waits_until_the_first_one_has_ended(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    call = "select scooters_ops.record_event_once('m1', 'mission_started', null, null, 'k')"
    with database.connect() as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            first = other.execute(call).fetchone()
            again = pool.submit(http.record, "m1", {"type": "mission_started"}, "k")
            until(lambda: _waiting(database, "record_event_once") == 1)
        assert first == (again.result().json()["history_id"],)
    assert database.value("select count(*) from scooters_ops.missions_history") == 1


def test_fifty_events_at_once_with_one_key_are_recorded_once(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(lambda _: http.record("m1", {"type": "mission_started"}, "k"), range(50))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["history_id"] for answer in answers}) == 1
    assert database.value("select count(*) from scooters_ops.missions_history") == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_a_malformed_key_is_refused(database: TestDatabase, http: HttpProcess, key: str) -> None:
    database.create_mission()
    assert is_problem(http.record("m1", {"type": "mission_started"}, key), 422)


def test_old_keys_are_pruned(database: TestDatabase, http: HttpProcess) -> None:
    database.create_mission()
    for key in ("old", "new"):
        http.record("m1", {"type": "mission_started"}, key)
    database.connection.execute(
        "update scooters_ops.event_keys set created_at = now() - interval '8 days'"
        " where idempotency_key = 'old'"
    )
    database.connection.execute("select scooters_ops.prune_bookkeeping()")
    assert database.values("select idempotency_key from scooters_ops.event_keys") == ["new"]


# --- authorization -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ю"],
)
def test_a_request_without_the_token_is_refused_and_reveals_nothing(
    database: TestDatabase, http: HttpProcess, authorization: str | None
) -> None:
    database.create_mission()
    headers = {} if authorization is None else {b"Authorization": authorization.encode()}
    for path in (skip_url("m1", "p1", "j1"), skip_url("m9", "p1", "j1"), "/v1/missions", "/v1/x"):
        answer = httpx.post(http.url + path, headers=headers, trust_env=False)
        assert is_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="scooters-ops"')
    assert database.tokens() == []


def test_the_authorization_scheme_may_be_in_any_case(http: HttpProcess) -> None:
    answer = httpx.post(
        f"{http.url}/v1/missions", headers={"Authorization": f"bearer {TOKEN}"}, trust_env=False
    )
    assert is_problem(answer, 422)


def test_without_the_secret_the_api_refuses_and_health_answers(
    cluster: Postgres, tmp_path: Path
) -> None:
    with shared_database(cluster) as own, http_user(own) as environment:
        del environment["SCOOTERS_OPS_HTTP_TOKEN"]
        with http_process(environment) as serving:
            refused = serving.skip("m1", "p1", "j1")
            assert is_problem(refused, 503)
            assert "SCOOTERS_OPS_HTTP_TOKEN is missing" in refused.json()["detail"]
            assert "retry-after" not in refused.headers
            assert serving.client.get("/healthz").status_code == 200
            assert "http_token_missing" in serving.log


def test_a_missing_writer_role_is_named_in_the_answer(cluster: Postgres) -> None:
    with shared_database(cluster) as own, http_user(own) as environment:
        own.connection.execute("drop role if exists only_notifier")
        own.connection.execute("create role only_notifier login in role scooters_ops_notifier")
        with http_process(environment | {"PGUSER": "only_notifier"}) as serving:
            refused = serving.skip("m1", "p1", "j1")
        own.connection.execute("drop role only_notifier")
    assert is_problem(refused, 503)
    assert refused.json()["detail"] == "the database's user lacks the role scooters_ops_writer"


# --- HEAD and the root ---------------------------------------------------------------------------


def test_head_answers_as_get_does_without_a_body(database: TestDatabase, http: HttpProcess) -> None:
    database.create_mission()
    paths = (
        *("/", "/board", "/board/missions/m1", "/board/missions/m9", "/board/static/board.css"),
        *("/board/static/none", "/healthz", "/readyz", "/metrics", "/openapi.json", "/nowhere"),
        "/v1/missions",
    )
    for path in paths:
        got, head = http.client.get(path), http.client.head(path)
        assert head.status_code == got.status_code, path
        assert head.headers["content-type"] == got.headers["content-type"] if got.text else True
        assert head.content == b""
        refused = http.client.put(path)
        if refused.status_code == 405 and got.status_code != 405:
            assert {*refused.headers["allow"].split(", ")} == {"GET", "HEAD"}, path


def test_head_under_v1_changes_nothing(database: TestDatabase, http: HttpProcess) -> None:
    database.create_mission()
    assert http.client.head(skip_url("m1", "p1", "j1")).status_code == 405
    assert httpx.head(http.url + "/v1/missions", trust_env=False).status_code == 401
    assert database.tokens() == []


def test_the_root_redirects_to_the_board(http: HttpProcess) -> None:
    answer = http.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/board")
    assert http.client.get("/", follow_redirects=True).status_code == 200


# --- errors of the framework ---------------------------------------------------------------------


def test_the_frameworks_own_errors_are_problems_too(http: HttpProcess) -> None:
    client = http.client
    assert is_problem(client.get("/nowhere"), 404)
    assert is_problem(client.get("/v1/missions/"), 404)
    assert is_problem(client.get("/docs"), 404)
    assert is_problem(client.get("/v1/missions"), 405)
    assert is_problem(client.delete("/healthz"), 405)
    as_json = {"Content-Type": "application/json"}
    for body in (b"{", b"[]", b"null", b"", b'"x"'):
        assert is_problem(client.post("/v1/missions", content=body, headers=as_json), 422)
    assert is_problem(client.post("/v1/missions", content=b"\xff", headers=as_json), 400)
    assert is_problem(client.post("/v1/missions", content=b"{}"), 422)


def test_a_body_that_is_too_large_is_refused(http: HttpProcess) -> None:
    body = b" " * (5 * 1024 * 1024)
    headers = {"Content-Type": "application/json"}
    assert is_problem(http.client.post("/v1/missions", content=body, headers=headers), 413)
    chunks = iter([body])
    assert is_problem(http.client.post("/v1/missions", content=chunks, headers=headers), 413)


def test_without_the_token_no_body_is_read(http: HttpProcess) -> None:
    where = urlsplit(http.url)
    with socket.create_connection((where.hostname, where.port), timeout=PATIENCE_SECONDS) as caller:
        caller.sendall(
            b"POST /v1/missions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )
        assert caller.recv(100).startswith(b"HTTP/1.1 401 ")


# --- without the database ------------------------------------------------------------------------


def test_without_the_database_callers_get_503_with_retry_after_and_nothing_is_half_done(
    cluster: Postgres,
) -> None:
    with (
        shared_database(cluster) as own,
        http_user(own) as environment,
        http_process(environment) as http,
    ):
        own.create_mission()
        assert http.skip("m1", "p1", "j1").json() == {"skipped": True}
        with away(own):
            for answer in (
                http.skip("m1", "p2", "j1"),
                http.post("/v1/missions", MISSION | {"mission_id": "m2"}),
                http.record("m1", {"type": "mission_started"}, "k1"),
            ):
                assert is_problem(answer, 503)
                assert int(answer.headers["retry-after"]) > 0
                assert answer.json()["detail"] == "the database cannot be reached"
        assert own.tokens() == ["m1_p1_j1_job_skipped"]
        assert own.value("select count(*) from scooters_ops.missions") == 1
        assert own.value("select count(*) from scooters_ops.missions_history") == 0
        assert http.skip("m1", "p2", "j1").json() == {"skipped": True}
        assert http.record("m1", {"type": "mission_started"}, "k1").status_code == 201
        assert http.log.count("http_without_database") == 1
        assert http.log.count("http_database_back") == 1


def test_callers_do_not_notice_that_idle_connections_were_lost(cluster: Postgres) -> None:
    with (
        shared_database(cluster) as own,
        http_user(own) as environment,
        http_process(environment) as http,
    ):
        own.create_mission()
        for point in ("p1", "p2", "p3"):
            assert http.skip("m1", point, "j1").json() == {"skipped": True}
            end_sessions(own)


def test_a_skip_that_waits_too_long_for_a_lock_is_undone_and_gets_503(
    cluster: Postgres,
) -> None:
    with shared_database(cluster) as own, http_user(own) as environment:
        own.create_mission()
        hasty = environment | {"PGOPTIONS": "-c statement_timeout=300ms"}
        with http_process(hasty) as http:
            with own.connect() as other, other.transaction():
                other.execute("select from scooters_ops.mission_jobs for update")
                answer = http.skip("m1", "p1", "j1")
            assert is_problem(answer, 503)
            assert answer.json()["detail"] == "the database took too long"
            assert answer.headers["retry-after"]
            assert own.tokens() == []
            assert http.skip("m1", "p1", "j1").json() == {"skipped": True}


# --- acknowledge ---------------------------------------------------------------------------------


def acknowledge_url(token: str) -> str:
    return url_of("v1", "notifications", token, "acknowledge")


def test_an_acknowledgement_says_true_once_and_keeps_the_first_name(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission("a/b_c")
    http.skip("a/b_c", "p1", "j1")
    (token,) = database.tokens()
    assert token == "a/b\\_c_p1_j1_job_skipped"
    answers = [http.post(acknowledge_url(token), {"by": by}) for by in ("Olga", "Ivan")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json() for answer in answers] == [
        {"acknowledged": True},
        {"acknowledged": False},
    ]
    query = "select acknowledged_by from scooters_ops.monitoring_notifications"
    assert database.value(query) == "Olga"


def test_acknowledging_what_is_unknown_is_404_and_what_is_resolved_409(
    database: TestDatabase, http: HttpProcess
) -> None:
    database.create_mission()
    http.skip("m1", "p1", "j1")
    database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set resolved_at = now(), resolution = 'withdrawn'"
    )
    unknown = http.post(acknowledge_url("m9_p1_j1_job_skipped"), {"by": "Olga"})
    resolved = http.post(acknowledge_url("m1_p1_j1_job_skipped"), {"by": "Olga"})
    assert is_problem(unknown, 404)
    assert unknown.json()["detail"] == 'no notification "m9_p1_j1_job_skipped"'
    assert is_problem(resolved, 409)
    assert "is resolved already" in resolved.json()["detail"]


def test_an_acknowledgement_by_nobody_is_422(database: TestDatabase, http: HttpProcess) -> None:
    database.create_mission()
    http.skip("m1", "p1", "j1")
    bodies: list[Any] = [
        *({}, {"by": ""}, {"by": " "}, {"by": None}, {"by": 7}, {"by": "x" * 201}),
        *({"by": "a\0"}, {"by": "Olga", "at": "now"}, [], "Olga"),
    ]
    for body in bodies:
        answer = http.post(acknowledge_url("m1_p1_j1_job_skipped"), body)
        assert is_problem(answer, 422), body
    query = "select acknowledged_by from scooters_ops.monitoring_notifications"
    assert database.value(query) is None


# --- the whole API -------------------------------------------------------------------------------


@pytest.mark.slow(seconds=20)
def test_schemathesis_finds_no_failure(
    database: TestDatabase, http: HttpProcess, tmp_path: Path
) -> None:
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", ROOT / "tests" / "schemathesis.toml"),
            *("run", f"{http.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--phases", "coverage,fuzzing", "--max-examples", "15"),
        ],
        cwd=tmp_path,  # schemathesis writes files there
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-8000:]
    assert "Tested: 10" in finished.stdout
    assert " bug " not in http.log


def test_the_docs_name_every_path(http: HttpProcess) -> None:
    pages = "".join((DOCS / name).read_text("utf-8") for name in ("integration.md", "ops.md"))
    for path in http.client.get("/openapi.json").json()["paths"]:
        assert re.sub(r"{\w+}", "ID", path) in pages


def test_the_openapi_description_is_complete(http: HttpProcess) -> None:
    document = http.client.get("/openapi.json").json()
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    skip = document["paths"]["/v1/missions/{mission_id}/points/{point_id}/jobs/{job_id}/skip"]
    assert skip["post"]["responses"].keys() == {
        *("200", "400", "401", "404", "409", "413", "422", "503")
    }
    assert skip["post"]["security"] == [{"HTTPBearer": []}]


def test_paths_are_encoded_by_segment() -> None:
    assert url_of("a/b", "c d") == "/a%2Fb/c%20d"
