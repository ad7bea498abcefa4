"""The notifier against real servers and a real database: nothing lost, nothing twice where the
channel allows it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier.config import ROOT
from notifier.database import DatabaseUnusable
from notifier.delivery import Notifier, NotRecorded
from notifier.secrets import Secrets
from sandbox.standins import (
    HALF_AN_ANSWER,
    RESET_AFTER,
    RESET_BEFORE,
    Chat,
    Fault,
    held,
    late,
    page,
)
from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.delivery_rigs import (
    GROUP,
    KICKED,
    LOST_GROUP,
    OTHER_GROUP,
    SECRETS,
    TELEGRAM,
    TICKET,
    Gate,
    House,
    at_info,
    command,
    events,
    make_house,
    running,
)

QUICK_RETRY = {
    "first_seconds": 0.02,
    "factor": 2,
    "max_seconds": 0.1,
    "give_up_after_attempts": 12,
}
SLOW_RETRY = {**QUICK_RETRY, "first_seconds": 60, "max_seconds": 900}


@pytest.fixture
def house(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[House]:
    at_info(caplog)
    with make_house(database) as made:
        monkeypatch.setenv("DATABASE_URL", made.conninfo)
        for name, secret in SECRETS.items():
            monkeypatch.setenv(name, secret)
        yield made


# --- What arrives ------------------------------------------------------------------------------


def test_a_skipped_job_becomes_a_message_and_a_ticket(house: House) -> None:
    token = house.skip(performer_name="Ivan <Petrov>")

    house.run_once()

    (call,) = house.telegram.calls
    assert (call.method, call.path) == (
        "POST",
        f"/bot{SECRETS['TELEGRAM_BOT_TOKEN']}/sendMessage",
    )
    assert call.headers["Content-Type"] == "application/json"
    assert call.body["chat_id"] == GROUP
    assert call.body["parse_mode"] == "HTML"
    assert "Ivan &lt;Petrov&gt;" in call.body["text"]
    (message,) = house.telegram.messages
    assert "Ivan <Petrov>" in message.text

    (call,) = house.tracker.calls
    assert (call.method, call.path) == ("POST", "/v3/issues/")
    assert call.headers["Authorization"] == f"OAuth {SECRETS['TRACKER_TOKEN']}"
    assert call.headers["X-Org-ID"] == SECRETS["TRACKER_ORG_ID"]
    unique = f"{token}/st/DUTY/alert"
    assert {"queue": "DUTY", "unique": unique}.items() <= call.body.items()
    (ticket,) = house.tracker.tickets
    assert "battery_exchange" in ticket.summary
    assert token in ticket.description

    assert house.database.rows(
        "select completed, recipients from scooters_ops.monitoring_notifications"
    ) == [
        {
            "completed": True,
            "recipients": [TELEGRAM | {"sended": True}, TICKET | {"sended": True}],
        }
    ]
    assert [(row["channel"], row["reference"], row["attempts"]) for row in house.deliveries()] == [
        ("telegram", "1", 1),
        ("st", "DUTY-1", 1),
    ]


def test_both_kinds_of_timeout_are_delivered_too(house: House) -> None:
    house.configure(TELEGRAM, TICKET)
    house.database.create_mission()
    house.database.record("mission_started", 0)
    house.database.record("point_arrived", 30, "p1")
    house.database.detect(60)

    house.run_once()

    assert house.is_sent()
    assert {ticket.unique for ticket in house.tracker.tickets} == {
        "m1_p1__timeout_between_points/st/DUTY/alert",
        "m1_p1__timeout_in_point/st/DUTY/alert",
    }
    assert len(house.tracker.tickets) == 2
    assert len(house.telegram.messages) == 2


def test_two_queues_that_are_told_of_one_notification_get_a_ticket_each(house: House) -> None:
    house.tracker.queues |= {"LEADS"}
    house.configure(TICKET, {"type": "st", "queue": "LEADS"})
    house.skip()
    house.run_once()
    assert house.is_sent()
    assert sorted(ticket.queue for ticket in house.tracker.tickets) == ["DUTY", "LEADS"]
    assert sorted(row["reference"] for row in house.deliveries()) == sorted(
        ticket.key for ticket in house.tracker.tickets
    )


def test_a_ticket_whose_answer_was_lost_before_an_upgrade_is_not_created_again_after_it(
    house: House,
) -> None:
    """Before it the notification's token was the key. 0012 keeps that for what was tried."""
    house.configure(TICKET, notifier__retry=SLOW_RETRY)
    token = house.skip()
    house.database.value("select scooters_ops.plan_deliveries(10)")
    house.database.connection.execute(
        "update scooters_ops.notification_recipients set idempotency_key = %s", (token,)
    )
    house.tracker.script(RESET_AFTER)
    house.run_once()
    house.make_due()
    house.run_once()
    assert house.is_sent()
    assert [ticket.unique for ticket in house.tracker.tickets] == [token]


def test_once_delivers_all_that_is_due_however_small_the_batches(house: House) -> None:
    house.configure(TELEGRAM, notifier__batch_size=2)
    house.skip_many(7)
    house.run_once()
    assert house.states() == ["sent"] * 7
    assert len(house.telegram.messages) == 7


def test_a_result_does_not_wait_for_sends_that_take_long(house: House) -> None:
    house.configure(TICKET)
    answer = threading.Event()
    house.tracker.script(*[held(answer)] * 3)
    house.skip_many(3)

    async def scenario() -> None:
        async with running() as daemon:
            await daemon.until(lambda: house.states("st") == ["sending"] * 3)
            house.configure(TELEGRAM)
            house.skip("m4")
            await daemon.until(lambda: house.states("telegram") == ["sent"])
            assert house.states("st") == ["sending"] * 3
            answer.set()

    asyncio.run(scenario())


def test_what_was_sent_is_not_sent_again(house: House) -> None:
    house.skip()
    house.run_once()
    house.run_once()
    assert (len(house.telegram.messages), len(house.tracker.tickets)) == (1, 1)


@pytest.mark.slow
def test_two_notifiers_at_once_share_the_work_and_repeat_nothing(house: House) -> None:
    house.configure(TELEGRAM, TICKET, notifier__batch_size=5)
    tokens = house.skip_many(40)

    async def both() -> None:
        notifiers = [Notifier(ROOT / "templates", Secrets()) for _ in range(2)]
        await asyncio.gather(*(notifier.run(once=True) for notifier in notifiers))
        await notifiers[0].run(once=True)  # what the other still held when this one looked

    asyncio.run(both())

    assert house.is_sent()
    assert sorted(ticket.unique or "" for ticket in house.tracker.tickets) == sorted(
        f"{token}/st/DUTY/alert" for token in tokens
    )
    assert len(house.telegram.messages) == len(tokens)


# --- What goes wrong with one recipient --------------------------------------------------------


def test_one_channels_failure_never_repeats_the_others_message(house: House) -> None:
    house.configure(TELEGRAM, TICKET, notifier__retry=SLOW_RETRY)
    house.skip()
    house.telegram.script(*[house.telegram.refusal(500, "Internal Server Error")] * 2)

    for states in (["pending", "sent"], ["pending", "sent"], ["sent", "sent"]):
        house.run_once()
        assert house.states() == states
        house.make_due()

    assert (len(house.telegram.messages), len(house.tracker.tickets)) == (1, 1)
    assert len(house.tracker.calls) == 1
    assert house.database.value("select completed from scooters_ops.monitoring_notifications")


def test_a_template_that_lacks_a_fact_blocks_that_row_alone_until_it_is_mended(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    retry = {**QUICK_RETRY, "give_up_after_attempts": 1}
    house.configure(TELEGRAM, TICKET, notifier__retry=retry)
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    (templates / "en/job_skipped/telegram.text.j2").write_text("{{ attributes.zone }}\n")
    house.skip("m1")
    house.skip("m2", zone="North")

    for _ in range(3):
        house.run_once(templates)
        assert house.states() == ["pending", "sent", "sent", "sent"]
        blocked = house.deliveries("telegram")[0]
        # Nothing was tried, so that nothing is given up.
        assert blocked["attempts"] == 0
        assert "en/job_skipped/telegram.text.j2: line 1: " in blocked["last_error"]
        assert "zone" in blocked["last_error"]
        house.make_due()
    assert [message.text for message in house.telegram.messages] == ["North"]
    logged = events(caplog, "blocked")
    assert len(logged) >= 3
    assert "zone" in logged[0]["reason"]
    (row,) = house.database.rows("select * from scooters_ops.delivery_status")
    assert (row["channel"], row["state"], row["sample_error"]) == (
        "telegram",
        "blocked",
        blocked["last_error"],
    )

    (templates / "en/job_skipped/telegram.text.j2").write_text("mended\n")
    house.run_once(templates)
    assert house.is_sent()


def test_what_is_blocked_is_tried_at_once_when_a_person_says_so(
    house: House, tmp_path: Path
) -> None:
    house.configure(TELEGRAM, notifier__retry=SLOW_RETRY)
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    (templates / "en/job_skipped/telegram.text.j2").write_text("{{ nonsense }}\n")
    house.skip()
    house.run_once(templates)
    house.run_once()
    assert house.states() == ["pending"]
    assert house.database.value("select scooters_ops.retry_deliveries()") == 1
    house.run_once()
    assert house.is_sent()


def test_a_notification_of_a_type_that_this_version_does_not_know_waits_and_the_others_go_on(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer version, to which the database was upgraded, has added it."""
    house.configure(TELEGRAM, TICKET)
    house.database.connection.execute(
        "alter type scooters_ops.monitoring_notification_type add value 'battery_low'"
    )
    house.database.connection.execute(
        "insert into scooters_ops.monitoring_notifications (idempotency_token, mission_id, type)"
        " values ('m0___battery_low', 'm0', 'battery_low')"
    )
    house.skip()
    house.run_once()
    assert house.states() == ["pending", "pending", "sent", "sent"]
    (message, ticket) = events(caplog, "blocked")
    assert (message["token"], message["channel"]) == ("m0___battery_low", "telegram")
    assert "there is no template en/battery_low/telegram.text.j2" in message["reason"]
    assert ticket["channel"] == "st"


@pytest.mark.parametrize(
    "poison",
    [
        {"skipped_at": "yesterday"},
        {"skipped_at": None},
        {"attributes": None},
    ],
    ids=json.dumps,
)
def test_facts_that_cannot_be_read_concern_that_row_alone(
    house: House, poison: dict[str, Any]
) -> None:
    spoil_one_of_two(house, poison)
    assert house.states() in (["failed", "sent"], ["pending", "sent"])
    assert house.deliveries()[0]["last_error"]


@pytest.mark.parametrize(
    "poison", [{"elapsed_seconds": 1e300}, {"elapsed_seconds": 5, "limit": "long"}], ids=json.dumps
)
def test_facts_that_no_message_prints_keep_nothing_from_being_sent(
    house: House, poison: dict[str, Any]
) -> None:
    spoil_one_of_two(house, poison)
    assert house.states() == ["sent", "sent"]


def spoil_one_of_two(house: House, poison: dict[str, Any]) -> None:
    """Sends two messages, of which the first has these facts."""
    house.configure(TELEGRAM)
    bad, _ = house.skip_many(2)
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications set details = details || %s"
        " where idempotency_token = %s",
        (json.dumps(poison), bad),
    )
    house.run_once()


def test_a_permanent_error_fails_at_once(house: House) -> None:
    house.configure({"type": "telegram", "chat_id": LOST_GROUP})
    house.skip()
    house.run_once()
    row = house.delivery("telegram")
    assert (row["state"], row["attempts"]) == ("failed", 1)
    assert row["last_error"] == f"HTTP 403: {KICKED}"
    house.run_once()
    assert len(house.telegram.calls) == 1


@pytest.mark.parametrize(
    "fault", [RESET_BEFORE, page(502), Fault(reply=page(503).reply)], ids=["reset", "502", "503"]
)
def test_a_transient_error_backs_off_and_then_succeeds(house: House, fault: Fault) -> None:
    house.configure(TICKET, notifier__retry=QUICK_RETRY, notifier__poll_seconds=3600)
    house.skip()
    house.tracker.script(fault, fault)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(house.is_sent)

    asyncio.run(story())
    row = house.delivery("st")
    assert (row["attempts"], row["reference"]) == (3, "DUTY-1")
    assert len(house.tracker.tickets) == 1


def test_a_stated_delay_is_kept(house: House) -> None:
    house.configure(TELEGRAM, notifier__retry=QUICK_RETRY)
    house.skip()
    house.telegram.script(house.telegram.refusal(429, "Too Many Requests: retry after 77", 77))
    house.run_once()
    assert house.delivery("telegram")["state"] == "pending"
    assert (
        70
        < house.database.value(
            "select extract(epoch from next_attempt_at - now())::float"
            " from scooters_ops.notification_deliveries"
        )
        <= 77
    )


def test_too_many_attempts_end_in_failure_with_the_last_reason(house: House) -> None:
    retry = {**QUICK_RETRY, "give_up_after_attempts": 3}
    house.configure(TELEGRAM, notifier__retry=retry, notifier__poll_seconds=3600)
    house.skip()
    house.telegram.script(*[house.telegram.refusal(500, "Internal Server Error")] * 9)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: house.states() == ["failed"])

    asyncio.run(story())
    row = house.delivery("telegram")
    assert row["attempts"] == 3
    assert row["last_error"] == "gave up after 3 attempts: HTTP 500: Internal Server Error"
    assert len(house.telegram.calls) == 3


# --- In doubt ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [RESET_AFTER, page(200, accepts=True)], ids=["reset", "page"])
def test_a_doubtful_message_is_sent_again_where_config_says_resend(
    house: House, fault: Fault
) -> None:
    house.configure(TELEGRAM, notifier__retry=SLOW_RETRY)
    house.skip()
    house.telegram.script(fault)
    house.run_once()
    assert house.states() == ["pending"]
    house.make_due()
    house.run_once()
    assert house.states() == ["sent"]
    assert len(house.telegram.messages) == 2


@pytest.mark.parametrize("fault", [RESET_AFTER, page(502, accepts=True)], ids=["reset", "502"])
def test_a_doubtful_message_waits_for_a_person_where_config_says_hold(
    house: House, fault: Fault
) -> None:
    house.configure(TELEGRAM, channels__telegram__in_doubt="hold", notifier__retry=QUICK_RETRY)
    token = house.skip()
    house.telegram.script(fault)
    for _ in range(2):
        house.run_once()
        assert house.states() == ["in_doubt"]
        house.make_due()
    assert len(house.telegram.messages) == 1
    assert not house.database.value("select completed from scooters_ops.monitoring_notifications")

    house.database.value("select scooters_ops.retry_deliveries(%s)", token)
    house.run_once()
    assert house.states() == ["sent"]


@pytest.mark.parametrize(
    "fault",
    [RESET_AFTER, HALF_AN_ANSWER, page(502, accepts=True), page(201, accepts=True)],
    ids=["reset", "half", "502", "201"],
)
def test_a_doubtful_ticket_is_created_once(house: House, fault: Fault) -> None:
    house.configure(TICKET, notifier__retry=SLOW_RETRY)
    house.skip()
    house.tracker.script(fault)
    house.run_once()
    house.make_due()
    house.run_once()
    assert house.states() == ["sent"]
    assert house.delivery("st")["reference"] == "DUTY-1"
    assert [ticket.key for ticket in house.tracker.tickets] == ["DUTY-1"]


# --- Leases ------------------------------------------------------------------------------------


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_bug_leaves_a_doubt_that_a_person_sees(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("too long a wait")

    monkeypatch.setattr("notifier.delivery.result", broken)
    house.configure(TELEGRAM)
    token = house.skip()
    house.run_once()
    row = house.delivery("telegram")
    assert (row["state"], row["last_error"]) == ("in_doubt", "OverflowError('too long a wait')")
    assert [bug["token"] for bug in events(caplog, "bug")] == [token]


# --- Limits and moves --------------------------------------------------------------------------


def test_once_waits_for_limits_and_sends_all_that_is_due(house: House) -> None:
    """As the far end counts: from the arrival of one to the arrival of the next."""
    limits = {"per_channel": [], "per_group": [], "per_target": [{"messages": 1, "seconds": 0.3}]}
    house.configure(TELEGRAM, TICKET, channels__telegram__limits=limits)
    house.skip_many(4)
    house.run_once()
    assert house.is_sent()
    arrivals = [entry.arrived_at for entry in house.telegram.ledger]
    assert min(after - before for before, after in pairwise(arrivals)) >= 0.3


def test_a_daemon_goes_on_as_soon_as_a_limit_allows(house: House) -> None:
    limits = {"per_channel": [{"messages": 2, "seconds": 0.5}], "per_target": [], "per_group": []}
    house.configure(TELEGRAM, channels__telegram__limits=limits, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            house.skip_many(6)
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert len(house.telegram.messages) == 6


def test_a_group_that_became_a_supergroup_goes_on_under_its_new_id(house: House) -> None:
    new_id = -1001234567890
    house.configure(TELEGRAM)
    house.telegram.chats[GROUP] = Chat(GROUP, moved_to=new_id)
    house.telegram.chats[new_id] = Chat(new_id)
    for mission_id in ("m1", "m2"):
        house.skip(mission_id)
        house.run_once()
    assert [call.body["chat_id"] for call in house.telegram.calls] == [GROUP, new_id, new_id]
    assert [message.chat_id for message in house.telegram.messages] == [new_id, new_id]
    assert house.is_sent()


@pytest.mark.slow
def test_ten_thousand_that_wait_for_a_dead_queue_and_a_slow_chat_delay_nobody_else(
    house: House,
) -> None:
    """Of the chat's, one message goes in a second, as Telegram's limits say."""
    house.configure(
        {"type": "telegram", "chat_id": OTHER_GROUP},
        channels__telegram__limits={},
        channels__st__base_url="http://127.0.0.1:1",
        notifier__poll_seconds=3600,
        notifier__retry=SLOW_RETRY,
    )
    house.skip("m0")
    house.run_once()
    house.database.connection.execute(
        "with noticed as ("
        " insert into scooters_ops.monitoring_notifications"
        " (idempotency_token, mission_id, point_id, job_id, type, details, planned_at)"
        " select gen_random_uuid(), mission_id, point_id, job_id, type, details, now()"
        " from scooters_ops.monitoring_notifications, generate_series(1, 10000)"
        " returning notification_id)"
        " insert into scooters_ops.notification_recipients (notification_id, channel, target)"
        " select notification_id, target ->> 'type', target from noticed"
        " cross join unnest(%s::jsonb[]) as target",
        ([json.dumps(TELEGRAM), json.dumps(TICKET)],),
    )

    def are_tried() -> bool:
        return set(
            house.database.values(
                "select distinct channel from scooters_ops.notification_recipients"
                " where attempts > 0 and address in ('DUTY', %s)",
                str(GROUP),
            )
        ) == {"st", "telegram"}

    def has_come(token: str) -> bool:
        return any(token in message.text for message in house.telegram.messages)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(are_tried)
            for number in range(1, 4):
                token = house.skip(f"m{number}")
                await daemon.until(partial(has_come, token))

    asyncio.run(story())


# --- A channel that is refused -----------------------------------------------------------------


def test_a_revoked_token_pauses_its_channel_alone_until_it_works_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    retry = {**QUICK_RETRY, "give_up_after_attempts": 1}
    house.configure(TELEGRAM, TICKET, notifier__retry=retry, notifier__poll_seconds=3600)
    token, house.telegram.token = house.telegram.token, "110201543:another"
    house.skip_many(5)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: len(events(caplog, "channel_paused")) >= 2)
            await daemon.until(lambda: house.is_sent("st"))
            assert set(house.states("telegram")) <= {"pending", "sending"}
            house.telegram.token = token
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert (len(house.telegram.messages), len(house.tracker.tickets)) == (5, 5)
    # It was not the recipients' fault: nothing is held against them.
    assert [row["attempts"] for row in house.deliveries("telegram")] == [1] * 5
    first = events(caplog, "channel_paused")[0]
    assert {
        "channel": "telegram",
        "failures": 1,
        "reason": "HTTP 401: Unauthorized",
    }.items() <= first.items()
    assert datetime.fromisoformat(first["until"]) < datetime.now(UTC)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "Bad Request: chat not found"),
        (403, "Forbidden: bot was blocked by the user"),
        (429, "Too Many Requests: retry after 60"),
    ],
)
def test_a_token_that_works_again_ends_the_pause_though_no_message_arrives(
    house: House, status: int, text: str
) -> None:
    house.configure(TELEGRAM, notifier__retry=SLOW_RETRY)
    house.skip()
    house.telegram.script(
        house.telegram.refusal(401, "Unauthorized"),
        house.telegram.refusal(status, text, 60 if status == 429 else None),
    )
    house.run_once()
    paused = "select count(*) from scooters_ops.delivery_holds where address is null"
    assert house.database.value(paused) == 1
    house.run_once()  # which probes the channel, since it may have a new token
    assert house.database.value(paused) == 0
    assert len(house.telegram.calls) == 2


def test_no_answer_and_a_gateways_answer_leave_the_channel_paused(house: House) -> None:
    house.configure(TELEGRAM, notifier__retry=SLOW_RETRY)
    house.skip()
    house.telegram.script(house.telegram.refusal(401, "Unauthorized"))
    house.run_once()
    reasons = set()
    for fault in (RESET_BEFORE, page(403), page(502), house.telegram.refusal(500, "Internal")):
        house.telegram.script(fault)
        house.make_due()
        house.run_once()
        reasons.add(house.delivery("telegram")["last_error"])
        assert house.database.value("select failures from scooters_ops.delivery_holds") == 1
    assert len(reasons) == 4


def test_a_channel_that_worked_in_between_is_paused_as_briefly_as_the_first_time(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__retry=QUICK_RETRY, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            house.telegram.script(*[house.telegram.refusal(401, "Unauthorized")] * 3)
            house.skip("m1")
            await daemon.until(house.is_sent)
            house.telegram.script(house.telegram.refusal(401, "Unauthorized"))
            house.skip("m2")
            await daemon.until(lambda: house.states() == ["sent", "sent"])

    asyncio.run(story())
    pauses = [pause["failures"] for pause in events(caplog, "channel_paused")]
    assert pauses == [1, 2, 3, 1]


def test_once_leaves_a_refused_channel_alone_after_one_try(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__batch_size=2, notifier__retry=SLOW_RETRY)
    house.telegram.token = "110201543:another"
    house.skip_many(6)
    house.run_once()
    assert house.states() == ["pending"] * 6
    assert len(house.telegram.calls) == 2
    # Those in flight together count once.
    assert [pause["failures"] for pause in events(caplog, "channel_paused")] == [1]


# --- The daemon --------------------------------------------------------------------------------


def test_the_daemon_is_woken_by_the_commit_and_not_by_its_poll(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            for number in range(1, 4):
                house.skip(f"m{number}")
                await daemon.until(lambda n=number: len(house.telegram.messages) == n)  # type: ignore[misc]
            await daemon.until(house.is_sent)

    asyncio.run(story())


def test_a_new_config_is_followed_without_a_restart(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            house.skip("m1")
            await daemon.until(house.is_sent)
            config_id = house.configure(
                {"type": "telegram", "chat_id": OTHER_GROUP},
                notifier__poll_seconds=3600,
                notifier__locale="ru",
            )
            await daemon.until(lambda: bool(events(caplog, "config_followed")))
            assert events(caplog, "config_followed") == [{"config_id": config_id}]
            house.skip("m2")
            await daemon.until(lambda: len(house.telegram.messages) == 2)

    asyncio.run(story())
    english, russian = house.telegram.messages
    assert (english.chat_id, russian.chat_id) == (GROUP, OTHER_GROUP)
    assert "Courier" in english.text
    assert "Курьер" in russian.text


def test_a_config_that_cannot_be_used_is_refused_once_and_the_old_one_stays(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            config_id = house.configure(
                TELEGRAM, notifier__poll_seconds=3600, channels__telegram__token_env="NO_SUCH"
            )
            await daemon.until(lambda: bool(events(caplog, "config_refused")))
            house.skip()
            await daemon.until(house.is_sent)
            (refused,) = events(caplog, "config_refused")
            assert refused["config_id"] == config_id
            assert "NO_SUCH" in str(refused["reason"])

            house.configure(TELEGRAM, notifier__poll_seconds=3599)
            await daemon.until(lambda: bool(events(caplog, "config_followed")))

    asyncio.run(story())


def test_a_config_with_smaller_batches_is_followed_while_more_is_in_flight(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    house.skip_many(3)
    answer = threading.Event()
    house.telegram.script(*[held(answer)] * 3)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: len(house.telegram.messages) == 3)
            house.configure(TELEGRAM, notifier__poll_seconds=3600, notifier__batch_size=1)
            await daemon.until(lambda: bool(events(caplog, "config_followed")))
            assert house.states() == ["sending"] * 3
            answer.set()
            await daemon.until(house.is_sent)

    asyncio.run(story())


def test_stopping_finishes_what_is_in_flight_and_begins_nothing(house: House) -> None:
    house.configure(TELEGRAM, notifier__batch_size=1, notifier__poll_seconds=3600)
    house.skip_many(2)
    answer = threading.Event()
    house.telegram.script(held(answer))

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: len(house.telegram.messages) == 1)
            assert house.states() == ["sending", "pending"]
            daemon.notifier.stop()
            answer.set()
            await daemon.task

    asyncio.run(story())
    assert house.states() == ["sent", "pending"]
    assert len(house.telegram.messages) == 1


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
                assert house.lease(daemon.notifier.worker, "telegram", 3600)
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
            lost = daemon.notifier.worker
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
            lost = daemon.notifier.worker
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


def test_an_idle_daemon_stops_at_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            await daemon.stop()

    asyncio.run(story())


# --- The database goes away --------------------------------------------------------------------


def test_a_cut_connection_is_made_again_and_deliveries_go_on(
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


def test_why_a_lost_database_does_not_come_back_is_logged_once(
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
                    await daemon.until(lambda: daemon.notifier._vain_attempts >= 3)
                finally:
                    admin.execute(f"alter database {name} allow_connections true".encode())
            await daemon.until(lambda: bool(events(caplog, "database_back")))

    asyncio.run(story())
    assert len(events(caplog, "database_lost")) == 1
    (why,) = events(caplog, "database_still_lost")
    assert "is not currently accepting connections" in str(why["reason"])


def test_what_was_sent_while_the_database_was_away_is_recorded_and_not_sent_again(
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
                await daemon.until(lambda: daemon.notifier._vain_attempts > 1)
            await daemon.until(house.is_sent)
            house.skip("m2")
            await daemon.until(lambda: house.states() == ["sent"] * 4)

    asyncio.run(story())
    assert (len(house.telegram.messages), len(house.tracker.tickets)) == (2, 2)
    assert len(events(caplog, "database_lost")) == 1
    (back,) = events(caplog, "database_back")
    assert back["attempts"] > 1


def test_sends_that_end_while_the_database_is_away_do_not_use_its_back_off_up(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Each would count as a vain attempt, and the wait grow to half a minute within a second."""
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
def test_a_database_that_only_reads_or_has_no_connection_left_is_waited_for_too(
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
                await daemon.until(lambda: daemon.notifier._vain_attempts >= 2)
            await daemon.until(house.is_sent)

    asyncio.run(story())
    assert len(house.telegram.messages) == 1
    assert len(events(caplog, "database_lost")) == len(events(caplog, "database_back")) == 1


def test_a_statement_that_is_cancelled_for_taking_too_long_is_a_lost_database(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.delivery.STATEMENT_SECONDS", 0.2)
    house.configure(TELEGRAM, notifier__poll_seconds=0.1)

    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            with house.database.connect() as somebody, somebody.transaction():
                somebody.execute(
                    "lock table scooters_ops.notification_recipients in exclusive mode"
                )
                await daemon.until(lambda: bool(events(caplog, "database_lost")))
            house.skip()
            await daemon.until(house.is_sent)

    asyncio.run(story())
    (lost,) = events(caplog, "database_lost")
    assert "statement timeout" in str(lost["reason"])
    assert len(events(caplog, "database_back")) == 1


def test_a_server_that_hangs_is_a_lost_database(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.delivery.STATEMENT_SECONDS", 0.2)
    monkeypatch.setattr("notifier.database.GRACE_SECONDS", 0.2)
    house.configure(TELEGRAM, notifier__poll_seconds=1)
    idle_server = (
        "select pid from pg_stat_activity where datname = current_database()"
        " and application_name = 'notifier' and state = 'idle'"
    )

    stopped: list[int] = []

    def stop_while_idle() -> bool:
        """In the midst of a statement it would hold a lock that the next server needs."""
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


def test_a_daemon_that_finds_a_newer_database_when_it_connects_anew_ends(
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


def test_once_too_records_what_it_sent_before_it_sends_more(house: House) -> None:
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


def test_once_gives_the_database_up_when_its_lease_has_ended(house: House) -> None:
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


def test_a_notifier_that_is_stopped_without_a_database_records_when_it_is_back(
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
                await daemon.until(lambda: bool(daemon.notifier._results))
            async with asyncio.timeout(PATIENCE_SECONDS):
                await daemon.task

    asyncio.run(story())
    assert house.states() == ["sent"]


def test_a_database_that_is_lost_long_after_the_stop_is_waited_for_too(house: House) -> None:
    """A send may take longer than a lease, which is renewed meanwhile."""
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


def test_a_stopped_notifier_waits_for_the_database_no_longer_than_a_lease(house: House) -> None:
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


def test_an_outage_may_last_for_any_number_of_attempts(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with running() as daemon:
            await daemon.until(lambda: bool(events(caplog, "started")))
            with house.without_database():
                await daemon.until(lambda: daemon.notifier._vain_attempts == 1)
                daemon.notifier._vain_attempts = 5000
                await daemon.until(lambda: daemon.notifier._vain_attempts == 5001)
            await daemon.stop()  # which cuts the wait for the next attempt short

    asyncio.run(story())
    assert events(caplog, "database_back") == [{"attempts": 5001}]


def test_a_database_that_is_not_there_at_the_start_is_said_at_once(house: House) -> None:
    async def start() -> None:
        with house.without_database():
            await Notifier(ROOT / "templates", Secrets()).run()

    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        asyncio.run(start())
