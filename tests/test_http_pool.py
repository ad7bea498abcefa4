"""The HTTP server's database pool: callers that wait, leave, or find the database away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from notifier.database.statements import Database
from notifier.metrics import Metrics
from notifier.web import pool as pools
from notifier.web.pool import DatabaseAway, Pool, RightLacking
from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.http_rigs import end_sessions, http_user

ROLE = "scooters_ops_writer"


@pytest.fixture
def user(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestDatabase]:
    """The database, for pools that connect as the HTTP server's user."""
    with http_user(database) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield database


def test_a_failure_to_connect_ends_every_callers_wait(
    user: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a scrape of /metrics would time out before it could say that there is no answer."""
    monkeypatch.setattr(pools, "STATEMENT_SECONDS", PATIENCE_SECONDS)

    async def play() -> None:
        async with Pool("api", ROLE, 2, Metrics()) as pool:
            with monkeypatch.context() as nowhere:
                nowhere.setenv("PGHOST", "/nowhere")
                asked = (pool.rows("select 1") for _ in range(10))
                for error in await asyncio.gather(*asked, return_exceptions=True):
                    assert isinstance(error, DatabaseAway)
                    assert str(error) == "the database cannot be reached"
            assert await pool.rows("select 1 as one") == [{"one": 1}]

    asyncio.run(play())


def test_a_database_that_stalls_after_the_login_counts_as_away_and_not_as_busy(
    user: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler logs its clients in although its server does not answer."""
    monkeypatch.setattr(pools, "STATEMENT_SECONDS", 0.2)

    async def stall(_: Database) -> None:
        await asyncio.Event().wait()

    async def play() -> None:
        metrics = Metrics()
        async with Pool("api", ROLE, 1, metrics) as pool:
            with monkeypatch.context() as stalled:
                stalled.setattr(Database, "check_version", stall)
                with pytest.raises(DatabaseAway, match="cannot be reached"):
                    await pool.rows("select 1")
        assert metrics.database_errors.labels("http")._value.get() == 1

    asyncio.run(play())


def test_a_cancelled_caller_leaves_its_connection_to_the_next(user: TestDatabase) -> None:
    async def play() -> None:
        async with Pool("api", ROLE, 1, Metrics()) as pool:
            sleeping = asyncio.create_task(pool.rows("select pg_sleep(3600)"))
            waiting = asyncio.create_task(pool.rows("select 1"))
            await asyncio.to_thread(until, lambda: _is_running(user, "pg_sleep"))
            for task in (waiting, sleeping):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert await pool.rows("select 2 as two") == [{"two": 2}]

    asyncio.run(play())


def _is_running(database: TestDatabase, text: str) -> bool:
    return bool(
        database.value(
            "select count(*) from pg_stat_activity where state = 'active' and query like %s"
            " and pid <> pg_backend_pid()",
            f"%{text}%",
        )
    )


def test_connections_that_were_lost_while_idle_are_replaced_all_at_once(
    user: TestDatabase,
) -> None:
    async def play() -> None:
        metrics = Metrics()
        async with Pool("api", ROLE, 4, metrics) as pool:
            for _ in range(2):
                await asyncio.gather(*(pool.rows("select pg_sleep(0.1)") for _ in range(4)))
                await asyncio.to_thread(end_sessions, user)
            before = pool._pool.get_stats()["connections_lost"]
            assert await pool.rows("select 1 as one") == [{"one": 1}]
            # It met one of the four: each further one would cost a back-off.
            assert pool._pool.get_stats()["connections_lost"] == before + 1
        assert metrics.database_errors.labels("http")._value.get() == 0

    asyncio.run(play())


def test_what_the_database_refuses_is_raised_and_leaves_the_connection_usable(
    user: TestDatabase,
) -> None:
    async def play() -> None:
        async with Pool("api", ROLE, 1, Metrics()) as pool:
            with pytest.raises(psycopg.errors.DivisionByZero):
                await pool.rows("select 1 / 0")
            with pytest.raises(RightLacking, match=ROLE):
                await pool.rows("select * from pg_authid")
            assert await pool.rows("select 1 as one") == [{"one": 1}]

    asyncio.run(play())


def test_a_process_that_stops_does_not_report_its_database_as_lost(user: TestDatabase) -> None:
    async def play() -> None:
        metrics = Metrics()
        async with Pool("api", ROLE, 1, metrics) as pool, pool.connection():
            waiting = asyncio.create_task(pool.rows("select 1"))
            await asyncio.to_thread(until, lambda: _waiting(metrics) == 1)
            await pool.__aexit__(None, None, None)
            with pytest.raises(DatabaseAway, match="is stopping"):
                await waiting
        assert metrics.database_errors.labels("http")._value.get() == 0

    asyncio.run(play())


def test_callers_that_wait_are_counted(user: TestDatabase) -> None:
    metrics = Metrics()

    async def play() -> None:
        async with Pool("api", ROLE, 1, metrics) as pool, pool.connection():
            waiting = asyncio.create_task(pool.rows("select 1"))
            await asyncio.to_thread(until, lambda: _waiting(metrics) == 1)
            waiting.cancel()

    asyncio.run(play())


def _waiting(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("scooters_ops_http_pool_waiting", {"pool": "api"})
