"""Text that others wrote: the API refuses what the database cannot hold, and nothing that we print
can control a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.database.statements import Database
from notifier.database.values import Result
from notifier.migrate import migrate
from notifier.resources import ROOT
from notifier.text import UNSAFE_CHARACTERS, escaped, escaped_lines, one_line
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, TestDatabase
from tests.delivery_rigs import TELEGRAM, House, command, make_house
from tests.http_rigs import HttpProcess, http_process, http_user, is_problem, url_of

pytestmark = pytest.mark.slow

HOSTILE = "\x1b]0;owned\x07\x1b[31m\x9b2J\x7f\u202egnp.exe\u2066"


@given(st.text())
def test_nothing_controls_a_terminal_and_all_other_text_stays(text: str) -> None:
    for made in (escaped(text), one_line(text), escaped_lines(text).replace("\n", "")):
        assert not UNSAFE_CHARACTERS.search(made)
        made.encode()
    if not UNSAFE_CHARACTERS.search(text):
        assert escaped(text) == text


@given(st.dictionaries(st.text(), st.text()))
def test_escaped_json_means_the_same(document: dict[str, str]) -> None:
    assert json.loads(escaped(json.dumps(document, ensure_ascii=False))) == document


# --- The command line ---------------------------------------------------------------------------


@pytest.fixture
def house(database: TestDatabase) -> Iterator[House]:
    with make_house(database) as made:
        made.configure(TELEGRAM)
        yield made


def test_no_command_prints_what_controls_a_terminal(house: House) -> None:
    mission_id = f"m{HOSTILE}\nNothing needs a person."
    house.skip(mission_id, performer_name=HOSTILE)
    database = house.database
    database.value("select scooters_ops.plan_deliveries(100)")
    database.connection.execute(
        "update scooters_ops.notification_recipients set state = 'failed', last_error = %s",
        (mission_id,),
    )
    database.connection.execute(
        "insert into scooters_ops.delivery_targets as known (channel, address, held_until,"
        " hold_reason) values ('telegram', '', now() + interval '1 h', %s)"
        " on conflict (address, channel) do update set held_until = excluded.held_until,"
        " hold_reason = excluded.hold_reason, failures = 1",
        (HOSTILE,),
    )
    database.apply_config(detection__job_eta_seconds={HOSTILE: 5}, **_stand_in(house))
    (token,) = database.tokens()
    finished = [
        house.cli(*arguments)
        for arguments in (
            ("status",),
            ("status", "--json"),
            ("config", "show"),
            ("preview", "job_skipped", "--token", token),
            ("preview", "job_skipped", "--token", HOSTILE),
            ("retry", HOSTILE),
            ("config", "check", HOSTILE),
            (HOSTILE,),
        )
    ]
    for each in finished:
        assert "Traceback" not in each.stderr
        said = (each.stdout + each.stderr).replace("\n", "")
        assert said
        assert not UNSAFE_CHARACTERS.search(said), each.args
    assert finished[0].stdout.splitlines().count("Nothing needs a person.") == 0
    assert json.loads(finished[2].stdout)["detection"]["job_eta_seconds"] == {HOSTILE: 5}


def _stand_in(house: House) -> dict[str, Any]:
    return {"channels__telegram__base_url": house.telegram.base_url}


@pytest.mark.parametrize(
    "arguments", [(b"retry", b"\xff"), (b"preview", b"job_skipped", b"--token", b"a\xed\xa0\x80")]
)
def test_an_argument_that_is_not_text_is_refused(
    house: House, arguments: tuple[bytes, ...]
) -> None:
    finished = subprocess.run(
        [*map(os.fsencode, command()), *arguments],
        env=house.environment | {"PYTHONUTF8": "1"},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (finished.returncode, finished.stdout) == (2, b"")
    assert finished.stderr.splitlines()[-1].endswith(b": is not text")


def test_a_terminal_that_lacks_the_characters_gets_escapes(house: House) -> None:
    token = house.skip(performer_name="Анна 🛵")
    shown = house.process("preview", "job_skipped", "--token", token, PYTHONIOENCODING="latin-1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert r"\u0410\u043d\u043d\u0430 \U0001f6f5" in shown.stdout


# --- A database that cannot hold every character ------------------------------------------------


@pytest.fixture(scope="module")
def cyrillic(cluster: Postgres) -> Iterator[TestDatabase]:
    """A database in the encoding WIN1251."""
    name = "cyrillic"
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(
            f"create database {name} template template0 encoding 'WIN1251'"
            " lc_collate 'C' lc_ctype 'C'"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", cluster.conninfo(name))
            migrate()
        with psycopg.connect(cluster.conninfo(name), autocommit=True) as connection:
            connection.execute("set client_encoding = 'UTF8'")
            connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(CONFIG),))
            yield TestDatabase(cluster, name, connection)
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def http(cyrillic: TestDatabase) -> Iterator[HttpProcess]:
    with http_user(cyrillic) as environment, http_process(environment) as serving:
        yield serving


def test_text_that_the_database_cannot_hold_is_422_in_every_field(
    cyrillic: TestDatabase, http: HttpProcess
) -> None:
    def mission(**changes: Any) -> dict[str, Any]:
        point = {"point_id": "п1", "eta_seconds": 60}
        return {"mission_id": "м1", "performer_id": "c1", "points": [point], **changes}

    mission_ids = "select mission_id from scooters_ops.missions order by mission_id"
    before = cyrillic.values(mission_ids)  # other tests share the database
    for odd in ("🛵", "é", "\ud800", "\0", "a\udc00b"):
        for change in (
            {"mission_id": odd},
            {"performer_id": odd},
            {"attributes": {"city": odd}},
            {"attributes": {odd: 1}},
            {odd: 1},
            {"points": [{"point_id": odd, "eta_seconds": 1}]},
        ):
            assert is_problem(http.post("/v1/missions", mission(**change)), 422), change
        assert is_problem(http.record("м1", {"type": odd}), 422)
        assert is_problem(http.record("м1", {"type": "point_arrived", "point_id": odd}), 422)
        assert is_problem(http.record("м1", {"type": "mission_started", odd: 1}), 422)
    for odd in ("🛵", "é"):
        assert is_problem(http.skip(odd, odd, odd), 422)
        assert is_problem(http.record(odd, {"type": "mission_started"}), 422)
        assert http.client.get(url_of("board", "missions", odd)).status_code == 422
        assert http.client.get("/board", params={"city": odd}).status_code == 422
    assert cyrillic.values(mission_ids) == before
    assert http.post("/v1/missions", mission()).status_code == 201
    assert http.record("м1", {"type": "point_arrived", "point_id": "п1"}).status_code == 201
    assert "м1" in http.client.get(url_of("board", "missions", "м1")).text
    assert http.client.get("/board").status_code == 200
    assert " bug " not in http.log
    cyrillic.connection.execute("truncate scooters_ops.missions cascade")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("city=%00", 200),  # a NUL is left out
        ("type=%00&lang=%FF", 200),  # not a type and not a language: ignored
        ("city=%ED%A0%80", 422),
        ("performer=%FF", 422),
    ],
)
def test_a_filter_that_no_text_can_match_is_not_our_error(
    http: HttpProcess, query: str, status: int
) -> None:
    assert http.client.get(f"/board?{query}").status_code == status


def test_an_answer_with_characters_that_the_database_lacks_is_recorded(
    cyrillic: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel's server may answer anything; that must not stop the notifier."""
    monkeypatch.setenv("DATABASE_URL", cyrillic.cluster.conninfo(cyrillic.name))
    cyrillic.create_mission("m1", 1)
    cyrillic.value("select scooters_ops.skip_job('m1', 'p1', 'j1')")
    cyrillic.value("select scooters_ops.plan_deliveries(10)")

    async def record() -> int:
        database = await Database.connect(10)
        try:
            leased = await database.lease("w", {"telegram": 1, "st": 1}, 60, {})
            results = [Result(each.recipient_id, "failed", error="нет 🛵") for each in leased]
            return await database.record("w", results)
        finally:
            await database.close()

    assert asyncio.run(record()) == 1
    assert cyrillic.values(
        "select last_error from scooters_ops.notification_recipients where state = 'failed'"
    ) == ["нет \\U0001f6f5"]


def test_the_command_line_refuses_what_the_database_cannot_hold(
    cyrillic: TestDatabase, tmp_path: Any
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG | {"routes": [{"match": {"city": "🛵"}, "recipients": []}]}))
    for arguments in (("retry", "🛵"), ("config", "apply", str(file))):
        finished = subprocess.run(
            command(*arguments),
            env=cyrillic.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (finished.returncode, finished.stdout) == (2, ""), finished
        line = finished.stderr.splitlines()[-1]
        assert line.startswith("notifier: ")
        assert "character" in line
        assert "no database" not in line
