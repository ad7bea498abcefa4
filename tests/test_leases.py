"""Leases: renewed during a send, lost, taken over, given back."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from notifier.database.values import Delivery, Result
from notifier.delivery.leases import LeaseLost, Leases, renewed
from notifier.resources import ROOT
from sandbox.standins import held, late
from tests.conftest import PATIENCE_SECONDS, until
from tests.delivery_rigs import (
    QUICK_RETRY,
    TELEGRAM,
    TICKET,
    Gate,
    House,
    command,
    events,
    running,
)


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
def test_a_lease_is_renewed_until_the_send_ends(house: House, stopped: bool) -> None:
    house.configure(TELEGRAM, notifier__lease_seconds=3, notifier__poll_seconds=3600)
    house.skip()
    answer = threading.Event()
    house.telegram.script(held(answer))
    ends = "select next_attempt_at from scooters_ops.notification_recipients"
    leases = set()

    def is_renewed_often() -> bool:
        """Often enough that the first lease would have ended."""
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
def suspended_before_its_request(house: House, gate: Gate) -> Iterator[subprocess.Popen[str]]:
    """A notifier's process that was suspended while it connected to the channel, until its lease
    had ended. The body of the `with` resumes it."""
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


@pytest.mark.slow
def test_a_notifier_suspended_past_its_lease_does_not_send_what_another_has_leased(
    house: House,
) -> None:
    with Gate(house.telegram) as gate, suspended_before_its_request(house, gate) as process:
        assert house.lease("another", "telegram", 3600)
        gate.opened.set()
        process.send_signal(signal.SIGCONT)
        assert process.stderr is not None
        assert any(" WARNING dropped " in line for line in process.stderr)
    assert house.telegram.calls == []
    assert house.database.values(
        "select leased_by from scooters_ops.notification_recipients where state = 'sending'"
    ) == ["another"]


@pytest.mark.slow
def test_a_notifier_suspended_past_its_lease_sends_what_no_other_has_leased(
    house: House,
) -> None:
    with Gate(house.telegram) as gate, suspended_before_its_request(house, gate) as process:
        gate.opened.set()
        process.send_signal(signal.SIGCONT)
        until(house.is_sent)
    assert house.delivery("telegram")["attempts"] == 1
    assert len(house.telegram.messages) == 1


def test_a_send_that_connects_for_longer_than_its_lease_is_dropped_and_given_back(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the database it cannot renew the lease, and another notifier may send meanwhile."""
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
def test_a_killed_notifiers_recipient_is_leased_again_when_its_lease_has_ended(
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


def test_a_recipient_that_kills_every_notifier_is_given_up(house: House) -> None:
    retry = {**QUICK_RETRY, "give_up_after_attempts": 3}
    house.configure(TELEGRAM, notifier__retry=retry)
    house.skip()
    house.database.value("select scooters_ops.plan_deliveries(10)")
    for number in range(3):
        assert house.lease(f"killed {number}", "telegram", 0)
    house.run_once()
    row = house.delivery("telegram")
    assert row["state"] == "failed"
    assert row["last_error"] == "gave up: 3 attempts ended without a result"
    assert house.telegram.calls == []


def test_what_is_leased_during_the_stop_is_given_back_unsent(house: House) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    with house.database.connect() as blocker:

        async def story() -> None:
            async with running() as daemon:
                await daemon.until(
                    lambda: bool(
                        daemon.notifier.metrics.registry.get_sample_value(
                            "scooters_ops_cycles_total"
                        )
                    )
                )
                with blocker.transaction():
                    house.skip()
                    house.database.value("select scooters_ops.plan_deliveries(10)")
                    # Leasing waits for this lock; planning does not.
                    blocker.execute(
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


def test_a_cancelled_notifier_leaves_in_doubt_only_requests_that_were_out(
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
                # This server never completes the handshake, so there is no request.
                connection, _ = await asyncio.to_thread(mute.accept)
                with connection:
                    daemon.task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await daemon.task

        asyncio.run(story())
    assert house.states() == ["in_doubt", "pending"]
    assert house.delivery("telegram")["last_error"] == "cut short (CancelledError)"
    assert house.delivery("st")["attempts"] == 0


def test_a_lease_whose_answer_was_lost_causes_no_doubt(
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


def test_a_lease_that_the_server_commits_after_the_reconnect_causes_no_doubt(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """It is given back at the next poll, long before the lease ends."""
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


def test_late_statements_of_a_lost_connection_make_nobody_send_twice(
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
            house.database.value("select scooters_ops.release_deliveries(%s, '{}')", lost)
            assert house.lease("another", "telegram", 3600) == []
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert len(house.telegram.messages) == 1


# --- Leases as values ---------------------------------------------------------------------------


def leased(*recipient_ids: int, channel: str = "telegram") -> list[Delivery]:
    return [
        Delivery(
            idempotency_token="m1_p1_j1_job_skipped",
            type="job_skipped",
            mission_id="m1",
            point_id="p1",
            job_id="j1",
            details={},
            recipient_id=recipient_id,
            channel=channel,
            target={},
            attempts=1,
            is_in_doubt=False,
            waited=timedelta(0),
            idempotency_key="key",
        )
        for recipient_id in recipient_ids
    ]


def test_no_request_starts_near_the_end_of_its_lease() -> None:
    leases = Leases("n1")
    early, delayed = leases.add(leased(1, 2), since=100, lease_seconds=10)
    early.start_request(107.9)
    assert early.is_request_out
    with pytest.raises(LeaseLost):
        delayed.start_request(108)
    assert not delayed.is_request_out


def test_all_leases_are_renewed_together_once_one_is_due() -> None:
    leases = Leases("n1")
    (first,) = leases.add(leased(1), since=100, lease_seconds=9)
    (second,) = leases.add(leased(2), since=102, lease_seconds=9)
    assert leases.renew_at() == 103
    assert leases.to_renew(102.9) == []
    assert set(leases.to_renew(103)) == {first, second}

    renewed([first, second], held_ids={1}, since=103, lease_seconds=9)
    assert leases.renew_at() == 106
    assert leases.to_renew(200) == [first]
    with pytest.raises(LeaseLost):
        second.start_request(103)


def test_a_recipient_stays_taken_until_its_result_is_recorded() -> None:
    leases = Leases("n1")
    sent, dropped, in_flight = leases.add(leased(1, 2, 3), since=0, lease_seconds=9)
    leases.end(sent, Result(1, "sent"))
    dropped.is_dropped = True
    assert not leases.take_dropped()
    leases.end(dropped, None)
    assert leases.taken_ids() == [1, 3]
    assert [leases.take_dropped(), leases.take_dropped()] == [True, False]

    leases.results.clear()
    assert leases.taken_ids() == [3]
    assert leases.has_unfinished()
    leases.end(in_flight, None)
    assert not leases.has_unfinished()


def test_a_channel_has_as_many_free_slots_as_config_allows_sends() -> None:
    leases = Leases("n1")
    leases.add(leased(1, 2), since=0, lease_seconds=9)
    leases.add(leased(3, channel="st"), since=0, lease_seconds=9)
    assert leases.free_slots(["telegram", "st", "sms"], 2) == {"st": 1, "sms": 2}


def test_each_connection_holds_its_leases_under_a_name_of_its_own() -> None:
    leases = Leases("n1")
    leases.connected()
    first = leases.worker
    leases.connected()
    assert first != leases.worker
    assert first.partition("#")[0] == leases.worker.partition("#")[0] == "n1"
