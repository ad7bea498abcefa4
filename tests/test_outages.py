"""The database goes away while the notifier works."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg
import pytest

from notifier.database.errors import DatabaseUnusable
from notifier.delivery.notifier import Notifier, NotRecorded
from notifier.resources import ROOT
from notifier.secrets import Secrets
from sandbox.standins import held
from tests.conftest import PATIENCE_SECONDS
from tests.delivery_rigs import TELEGRAM, TICKET, House, events, running

pytestmark = pytest.mark.slow


def test_after_a_cut_connection_the_notifier_reconnects_and_goes_on(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            house.skip("m1")
            await daemon.until(house.is_sent)
            assert house.cut_connections() == 1
            await daemon.until(lambda: bool(events(caplog, "database_back")))
            house.skip("m2")
            await daemon.until(lambda: house.states() == ["sent"] * 2)

    asyncio.run(story())
    assert len(events(caplog, "database_lost")) == 1
    assert len(house.telegram.messages) == 2


def test_the_reason_why_a_lost_database_stays_away_is_logged_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    name = house.database.name

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            with psycopg.connect(
                house.database.cluster.conninfo("postgres"), autocommit=True
            ) as admin:
                admin.execute(f"alter database {name} allow_connections false".encode())
                try:
                    house.cut_connections()
                    await daemon.until(lambda: daemon.notifier.outage.attempts >= 3)
                finally:
                    admin.execute(f"alter database {name} allow_connections true".encode())
            await daemon.until(lambda: bool(events(caplog, "database_back")))

    asyncio.run(story())
    assert len(events(caplog, "database_lost")) == 1
    (why,) = events(caplog, "database_still_lost")
    assert "is not currently accepting connections" in str(why["reason"])


def test_what_was_sent_during_an_outage_is_recorded_and_not_sent_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, TICKET, notifier__poll_seconds=3600)
    answer = threading.Event()
    house.telegram.script(held(answer))
    house.tracker.script(held(answer))

    async def story() -> None:
        async with running() as daemon:
            house.skip("m1")
            await daemon.until(lambda: bool(house.telegram.messages and house.tracker.tickets))
            with house.without_database():
                answer.set()
                await daemon.until(lambda: len(events(caplog, "sent")) == 2)
                assert house.states() == ["sending", "sending"]
                await daemon.until(lambda: daemon.notifier.outage.attempts > 1)
            await daemon.until(house.is_sent)
            house.skip("m2")
            await daemon.until(lambda: house.states() == ["sent"] * 4)

    asyncio.run(story())
    assert (len(house.telegram.messages), len(house.tracker.tickets)) == (2, 2)
    assert len(events(caplog, "database_lost")) == 1
    (back,) = events(caplog, "database_back")
    assert back["attempts"] > 1


def test_sends_that_end_during_an_outage_do_not_shorten_the_back_off(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise each would count as a failed attempt, and the back-off would grow to half a minute
    within a second."""
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    answers = [threading.Event() for _ in range(15)]
    house.telegram.script(*(held(answer) for answer in answers))
    house.skip_many(15)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: len(house.telegram.messages) == 15)
            with house.without_database():
                for number, answer in enumerate(answers):
                    answer.set()
                    await daemon.until(lambda: len(events(caplog, "sent")) > number)  # noqa: B023
            await daemon.until(house.is_sent)

    asyncio.run(story())
    (back,) = events(caplog, "database_back")
    assert back["attempts"] < 15
    assert len(house.telegram.messages) == 15


@pytest.mark.parametrize("trouble", [House.read_only, House.full_pool])
def test_the_notifier_waits_for_a_read_only_database_or_a_free_connection(
    house: House,
    caplog: pytest.LogCaptureFixture,
    trouble: Callable[[House], AbstractContextManager[None]],
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    answer = threading.Event()
    house.telegram.script(held(answer))

    async def story() -> None:
        async with running() as daemon:
            house.skip()
            await daemon.until(lambda: bool(house.telegram.messages))
            with trouble(house):
                answer.set()
                await daemon.until(lambda: daemon.notifier.outage.attempts >= 2)
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert len(house.telegram.messages) == 1
    assert len(events(caplog, "database_lost")) == len(events(caplog, "database_back")) == 1


def test_a_statement_timeout_counts_as_a_lost_database(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.delivery.notifier.STATEMENT_SECONDS", 0.2)
    house.configure(TELEGRAM, notifier__poll_seconds=0.1)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            with house.database.connect() as blocker, blocker.transaction():
                blocker.execute("lock table scooters_ops.notification_recipients in exclusive mode")
                await daemon.until(lambda: bool(events(caplog, "database_lost")))
            house.skip()
            await daemon.until(house.is_sent)

    asyncio.run(story())
    (lost,) = events(caplog, "database_lost")
    assert "statement timeout" in str(lost["reason"])
    assert len(events(caplog, "database_back")) == 1


def test_a_hanging_server_counts_as_a_lost_database(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.delivery.notifier.STATEMENT_SECONDS", 0.2)
    monkeypatch.setattr("notifier.database.connection.GRACE_SECONDS", 0.2)
    house.configure(TELEGRAM, notifier__poll_seconds=1)
    idle_server = (
        "select pid from pg_stat_activity where datname = current_database()"
        " and application_name = 'notifier' and state = 'idle'"
    )

    stopped: list[int] = []

    def stop_while_idle() -> bool:
        """In the middle of a statement it might hold a lock that the next server process needs."""
        stopped[:] = house.database.values(idle_server)
        for server in stopped:
            os.kill(server, signal.SIGSTOP)
        if stopped and house.database.values(idle_server) != stopped:
            os.kill(stopped[0], signal.SIGCONT)
            return False
        return bool(stopped)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            await daemon.until(stop_while_idle)
            try:
                await daemon.until(lambda: bool(events(caplog, "database_back")))
                house.skip()
                await daemon.until(house.is_sent)
            finally:
                os.kill(stopped[0], signal.SIGCONT)

    asyncio.run(story())
    assert len(events(caplog, "database_lost")) == 1


def test_a_daemon_that_finds_a_newer_database_after_a_reconnect_ends(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            house.database.connection.execute(
                "insert into scooters_ops._yoyo_migration (migration_hash, migration_id)"
                " values ('9', '9999_of_tomorrow')"
            )
            house.cut_connections()
            async with asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(DatabaseUnusable, match="newer version migrated it"):
                    await daemon.task

    asyncio.run(story())


def test_once_reconnects_and_records_before_it_sends_more(house: House) -> None:
    house.configure(TELEGRAM, notifier__batch_size=1)
    house.skip_many(2)
    answer = threading.Event()
    house.telegram.script(held(answer))

    async def story() -> None:
        async with running(once=True) as daemon:
            await daemon.until(lambda: bool(house.telegram.messages))
            assert house.cut_connections() == 1
            answer.set()
            await daemon.task

    asyncio.run(story())
    assert house.states() == ["sent", "sent"]
    assert len(house.telegram.messages) == 2


def test_once_stops_waiting_for_the_database_when_its_lease_has_ended(house: House) -> None:
    house.configure(TELEGRAM, notifier__lease_seconds=1)
    house.skip()
    answer = threading.Event()
    house.telegram.script(held(answer))

    async def story() -> None:
        async with running(once=True) as daemon:
            await daemon.until(lambda: bool(house.telegram.messages))
            with house.without_database():
                answer.set()
                with pytest.raises(NotRecorded, match="1 results could not be recorded"):
                    await daemon.task

    asyncio.run(story())


def test_a_notifier_stopped_during_an_outage_records_when_the_database_is_back(
    house: House,
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    answer = threading.Event()
    house.telegram.script(held(answer))

    async def story() -> None:
        async with running() as daemon:
            house.skip()
            await daemon.until(lambda: bool(house.telegram.messages))
            with house.without_database():
                daemon.notifier.stop()
                answer.set()
                await daemon.until(lambda: bool(daemon.notifier.leases.results))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await daemon.task

    asyncio.run(story())
    assert house.states() == ["sent"]


def test_a_notifier_waits_for_a_database_that_is_lost_long_after_the_stop(house: House) -> None:
    """A send may take longer than its lease, which is renewed meanwhile."""
    house.configure(TELEGRAM, notifier__lease_seconds=2, notifier__poll_seconds=3600)
    answer = threading.Event()
    house.telegram.script(held(answer))

    async def story() -> None:
        async with running() as daemon:
            house.skip()
            await daemon.until(lambda: bool(house.telegram.messages))
            daemon.notifier.stop()
            await asyncio.sleep(2.2)  # longer than its lease
            assert house.cut_connections() == 1
            answer.set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await daemon.task

    asyncio.run(story())
    assert house.states() == ["sent"]


def test_a_stopped_notifier_waits_for_the_database_only_as_long_as_a_lease(house: House) -> None:
    house.configure(TELEGRAM, notifier__lease_seconds=1)
    answer = threading.Event()
    house.telegram.script(held(answer))

    async def story() -> None:
        async with running() as daemon:
            house.skip()
            await daemon.until(lambda: bool(house.telegram.messages))
            with house.without_database():
                answer.set()
                with pytest.raises(NotRecorded, match="1 results could not be recorded"):
                    await daemon.stop()

    asyncio.run(story())


def test_an_outage_may_take_any_number_of_attempts(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            with house.without_database():
                await daemon.until(lambda: daemon.notifier.outage.attempts == 1)
                daemon.notifier.outage.attempts = 5000
                await daemon.until(lambda: daemon.notifier.outage.attempts == 5001)
            await daemon.stop()  # ends the wait for the next attempt

    asyncio.run(story())
    assert events(caplog, "database_back") == [{"attempts": 5001}]


def test_a_database_that_is_away_at_the_start_is_reported_at_once(house: House) -> None:
    async def start() -> None:
        with house.without_database():
            await Notifier(ROOT / "templates", Secrets()).run()

    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        asyncio.run(start())
