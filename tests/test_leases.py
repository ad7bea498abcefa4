"""Leases: held and renewed while a send takes, lost, taken over, given back."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from notifier.config import ROOT
from sandbox.standins import (
    held,
    late,
)
from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.delivery_rigs import (
    QUICK_RETRY,
    TELEGRAM,
    TICKET,
    Gate,
    House,
    command,
    events,
    in_process_house,
    running,
)


@pytest.fixture
def house(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[House]:
    with in_process_house(database, monkeypatch, caplog) as made:
        yield made


@pytest.mark.parametrize("stopped", [False, True])
def test_a_lease_is_renewed_for_as_long_as_the_send_takes(house: House, stopped: bool) -> None:
    house.configure(TELEGRAM, notifier__lease_seconds=3, notifier__poll_seconds=3600)
    house.skip()
    answer = threading.Event()
    house.telegram.script(held(answer))
    ends = "select next_attempt_at from scooters_ops.notification_recipients"
    leases = set()

    def is_renewed_often() -> bool:
        """So often that its first lease would have ended."""
        assert house.lease("another", "telegram", 60) == []
        leases.add(house.database.value(ends))
        return len(leases) > 4

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(house.telegram.messages))
            if stopped:
                daemon.notifier.stop()
            await daemon.until(is_renewed_often)
            answer.set()
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert house.delivery("telegram")["attempts"] == 1
    assert len(house.telegram.messages) == 1


@contextmanager
def asleep_before_its_request(house: House, gate: Gate) -> Iterator[subprocess.Popen[str]]:
    """A notifier's process that is stopped while it makes its connection, until its lease has
    ended; within it goes on."""
    house.configure(
        TELEGRAM,
        channels__telegram__proxy=gate.url,
        channels__telegram__in_doubt="hold",
        notifier__lease_seconds=1,
    )
    house.skip()
    with subprocess.Popen(
        command("run"), env=house.environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        patience = threading.Timer(PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            assert gate.knocked.wait(PATIENCE_SECONDS)
            process.send_signal(signal.SIGSTOP)
            until(
                lambda: house.database.value(
                    "select next_attempt_at < now() from scooters_ops.notification_recipients"
                )
            )
            yield process
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            patience.cancel()
            process.kill()
    assert process.returncode == 0


def test_a_notifier_that_slept_through_its_lease_does_not_send_what_another_has(
    house: House,
) -> None:
    with Gate(house.telegram) as gate, asleep_before_its_request(house, gate) as process:
        assert house.lease("another", "telegram", 3600)
        gate.opened.set()
        process.send_signal(signal.SIGCONT)
        assert process.stderr is not None
        assert any(" WARNING dropped " in line for line in process.stderr)
    assert house.telegram.calls == []
    assert house.database.values(
        "select leased_by from scooters_ops.notification_recipients where state = 'sending'"
    ) == ["another"]


def test_a_notifier_that_slept_through_its_lease_sends_what_nobody_else_took(
    house: House,
) -> None:
    with Gate(house.telegram) as gate, asleep_before_its_request(house, gate) as process:
        gate.opened.set()
        process.send_signal(signal.SIGCONT)
        until(house.is_sent)
    assert house.delivery("telegram")["attempts"] == 1
    assert len(house.telegram.messages) == 1


def test_a_send_that_waits_for_its_connection_longer_than_its_lease_is_dropped_and_given_back(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the database nothing is renewed: another, that has it, may send meanwhile."""
    with Gate(house.telegram) as gate:
        house.configure(
            TELEGRAM,
            channels__telegram__proxy=gate.url,
            channels__telegram__in_doubt="hold",
            notifier__lease_seconds=1,
        )
        house.skip()

        async def story() -> None:
            async with running() as daemon:
                await daemon.until(gate.knocked.is_set)
                with house.without_database():
                    await asyncio.sleep(1)
                    gate.opened.set()
                    await daemon.until(lambda: bool(events(caplog, "dropped")))
                assert house.telegram.calls == []
                await daemon.until(house.is_sent)

        asyncio.run(story())
    assert house.delivery("telegram")["attempts"] == 1
    assert len(house.telegram.messages) == 1


@pytest.mark.parametrize(("in_doubt", "state"), [("resend", "sent"), ("hold", "in_doubt")])
def test_a_killed_notifiers_row_is_taken_over_when_its_lease_has_ended(
    house: House, in_doubt: str, state: str
) -> None:
    house.configure(TELEGRAM, channels__telegram__in_doubt=in_doubt)
    house.skip()
    house.database.value("select scooters_ops.plan_deliveries(10)")
    assert house.lease("killed", "telegram", 3600)
    house.run_once()
    assert house.states() == ["sending"]

    house.database.connection.execute(
        "update scooters_ops.notification_recipients set next_attempt_at = now()"
    )
    house.run_once()

    row = house.delivery("telegram")
    assert (row["state"], row["attempts"]) == (state, 2)
    assert len(house.telegram.messages) == (1 if state == "sent" else 0)


def test_a_row_that_kills_every_notifier_is_given_up(house: House) -> None:
    retry = {**QUICK_RETRY, "give_up_after_attempts": 3}
    house.configure(TELEGRAM, notifier__retry=retry)
    house.skip()
    house.database.value("select scooters_ops.plan_deliveries(10)")
    for number in range(3):
        assert house.lease(f"killed {number}", "telegram", 0)
    house.run_once()
    row = house.delivery("telegram")
    assert row["state"] == "failed"
    assert row["last_error"] == "gave up: 3 attempts never came to a result"
    assert house.telegram.calls == []


def test_what_was_leased_when_it_is_stopped_is_given_back_unsent(house: House) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    with house.database.connect() as somebody:

        async def story() -> None:
            async with running() as daemon:
                await daemon.until(
                    lambda: bool(
                        daemon.notifier.metrics.registry.get_sample_value(
                            "scooters_ops_cycles_total"
                        )
                    )
                )
                with somebody.transaction():
                    house.skip()
                    house.database.value("select scooters_ops.plan_deliveries(10)")
                    # Planning does not wait for this, and leasing does.
                    somebody.execute(
                        "select from scooters_ops.delivery_targets where address = '' for update"
                    )
                    await daemon.until(lambda: house.is_blocked(".lease_deliveries"))
                    daemon.notifier.stop()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await daemon.task

        asyncio.run(story())
    row = house.delivery("telegram")
    assert (row["state"], row["attempts"]) == ("pending", 0)
    assert house.telegram.calls == []


def test_a_notifier_that_is_cut_short_leaves_in_doubt_only_what_was_on_its_way(
    house: House,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        house.configure(
            TELEGRAM,
            TICKET,
            channels__telegram__in_doubt="hold",
            channels__st__base_url=f"https://127.0.0.1:{mute.getsockname()[1]}",
        )
        house.telegram.script(late(2 * PATIENCE_SECONDS))
        house.skip()

        async def story() -> None:
            async with running() as daemon:
                await daemon.until(lambda: bool(house.telegram.messages))
                # No handshake comes about here, and so no request.
                connection, _ = await asyncio.to_thread(mute.accept)
                with connection:
                    daemon.task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await daemon.task

        asyncio.run(story())
    assert house.states() == ["in_doubt", "pending"]
    assert house.delivery("telegram")["last_error"] == "cut short (CancelledError)"
    assert house.delivery("st")["attempts"] == 0


def test_a_lease_of_which_the_answer_was_lost_is_no_doubt(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, channels__telegram__in_doubt="hold", notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            with house.without_database():
                house.skip()
                house.database.value("select scooters_ops.plan_deliveries(10)")
                assert house.lease(daemon.notifier.leases.worker, "telegram", 3600)
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert house.delivery("telegram")["attempts"] == 1


def test_a_lease_that_the_server_commits_after_the_notifier_has_reconnected_is_no_doubt_either(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """It is given back with the next poll, and not when the lease ends."""
    house.configure(TELEGRAM, channels__telegram__in_doubt="hold", notifier__poll_seconds=0.2)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            lost = daemon.notifier.leases.worker
            house.cut_connections()
            await daemon.until(lambda: bool(events(caplog, "database_back")))
            with house.database.connection.transaction():
                house.skip()
                house.database.value("select scooters_ops.plan_deliveries(10)")
                assert house.lease(lost, "telegram", 3600)
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert house.delivery("telegram")["attempts"] == 1
    assert len(house.telegram.messages) == 1


def test_what_the_server_does_late_for_a_lost_connection_makes_nobody_send_twice(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    house.telegram.script(late(1))

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            lost = daemon.notifier.leases.worker
            house.cut_connections()
            await daemon.until(lambda: bool(events(caplog, "database_back")))
            house.skip()
            await daemon.until(lambda: bool(house.telegram.messages))
            for function in ("release_deliveries", "adopt_leases"):
                house.database.value(f"select scooters_ops.{function}(%s, '{{}}')", lost)
            assert house.lease("another", "telegram", 3600) == []
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert len(house.telegram.messages) == 1
