"""Behind a pooler that may run each transaction in another session everything works, and no setting
stays behind."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from notifier.database.statements import Database
from sandbox.postgres import Postgres
from tests.conftest import shared_database, until
from tests.delivery_rigs import SECRETS, TELEGRAM, TICKET, House, command, make_house
from tests.http_rigs import TOKEN, http_process, skip_url
from tests.pooler_rig import Pooler, pooler

pytestmark = pytest.mark.slow

LOGIN = "duty_pooled"
"""A user that may write, deliver and read."""


@pytest.fixture(scope="module")
def house(cluster: Postgres) -> Iterator[House]:
    with shared_database(cluster) as database, make_house(database) as house:
        database.connection.execute(
            f"do $$ begin create role {LOGIN} login in role"
            " scooters_ops_notifier, scooters_ops_writer, scooters_ops_analyst;"
            " exception when duplicate_object then null; end $$"
        )
        house.configure(TELEGRAM, TICKET, notifier__poll_seconds=1)
        yield house


@pytest.fixture(scope="module")
def pooled(house: House) -> Iterator[Pooler]:
    with pooler(house.database) as own:
        yield own


def environment(pooled: Pooler) -> dict[str, str]:
    return pooled.environment(LOGIN) | SECRETS | {"SCOOTERS_OPS_HTTP_TOKEN": TOKEN}


@contextmanager
def everything_running(pooled: Pooler) -> Iterator[Any]:
    """A notifier and the HTTP API, on the one session that the pooler has for them."""
    with http_process(environment(pooled), "run") as running:
        yield running
        assert running.stop() == 0


def settings_left(pooled: Pooler) -> dict[str, str]:
    """What another client of the same user finds set in the session, besides the pooler's own."""
    with psycopg.connect(pooled.conninfo(LOGIN), autocommit=True, prepare_threshold=None) as other:
        return dict(
            other.execute(
                "select name, setting from pg_settings where source = 'session' and name not in"
                " ('application_name', 'client_encoding', 'DateStyle', 'TimeZone',"
                " 'standard_conforming_strings')"
            ).fetchall()
        )


def test_everything_works_through_a_pooler_in_transaction_mode(
    house: House, pooled: Pooler
) -> None:
    with everything_running(pooled) as running:
        until(lambda: " no_session " in running.log)
        assert re.search(r" no_session reason=.*LISTEN.* poll_seconds=1\b", running.log)
        # Run each statement more often than psycopg does before it prepares one by default.
        tokens = [house.skip(f"m-{number}") for number in range(1, 8)]
        for number in range(1, 8):
            assert running.skip(f"m-{number}", "p1", "j1").json() == {"skipped": False}
        until(lambda: len(house.states()) == 2 * len(tokens) and house.is_sent())
        for _ in range(7):
            assert running.client.get("/board").status_code == 200
            assert running.client.get("/board/missions/m-1").status_code == 200
            assert "scooters_ops_database_up 1.0" in running.client.get("/metrics").text
        shown = subprocess.run(
            command("status", "--json"),
            env=environment(pooled),
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        assert [each["is_alive"] for each in json.loads(shown.stdout)["notifiers"]] == [True]
        assert settings_left(pooled) == {}
        with psycopg.connect(
            pooled.conninfo(LOGIN), autocommit=True, prepare_threshold=None
        ) as other:
            assert other.execute("select * from pg_listening_channels()").fetchall() == []
            assert other.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
        servers = [each for each in pooled.show("servers") if each["user"] == LOGIN]
        assert len(servers) == 1, "they all shared one session"
    assert "database_lost" not in running.log
    assert "database_refuses" not in running.log
    assert running.log.count(" no_session ") == 1


def test_a_refused_statement_leaves_no_transaction_open_in_the_pooler(
    house: House, pooled: Pooler
) -> None:
    house.database.create_mission("m-refused")
    with http_process(environment(pooled)) as serving:
        for _ in range(3):
            assert serving.client.post(skip_url("m-refused", "p9", "j1")).status_code == 404
            assert serving.skip("m-refused", "p1", "j1").status_code == 200
        with psycopg.connect(
            pooled.conninfo(LOGIN), autocommit=True, prepare_threshold=None
        ) as other:
            assert other.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_session_of_our_own_is_told_apart_from_a_pooler(
    house: House, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler does not say whether it keeps a session for one client."""

    async def is_session() -> bool:
        database = await Database.connect(30)
        try:
            return database.is_session
        finally:
            await database.close()

    monkeypatch.setenv("DATABASE_URL", house.conninfo)
    assert asyncio.run(is_session())
    with pooler(house.database, mode) as own:
        monkeypatch.setenv("DATABASE_URL", own.conninfo(LOGIN))
        assert not asyncio.run(is_session())


@pytest.mark.parametrize(
    "arguments", [("migrate",), ("schedule",), ("unschedule",), ("status", "--jobs")]
)
def test_a_command_that_needs_a_session_refuses_to_start_without_one(
    house: House, pooled: Pooler, arguments: tuple[str, ...]
) -> None:
    finished = subprocess.run(
        command(*arguments),
        env=environment(pooled),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith(f"notifier: make {arguments[0]} needs a session of its own")
    assert "connect to PostgreSQL's own port" in finished.stderr
    assert settings_left(pooled) == {}


def test_a_pooler_in_session_mode_gives_migrate_the_sessions_it_needs(house: House) -> None:
    with pooler(house.database, "session", size=5) as own:
        finished = subprocess.run(
            command("migrate"),
            env=own.environment("postgres"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        assert "nothing to apply" in finished.stdout
