"""Messages and tickets, with real servers and a real database: nothing is lost, and nothing is sent
twice if the channel can prevent it."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from notifier.delivery.notifier import Notifier
from notifier.resources import ROOT
from notifier.secrets import Secrets
from sandbox.standins import (
    HALF_AN_ANSWER,
    RESET_AFTER,
    RESET_BEFORE,
    Chat,
    Fault,
    held,
    page,
)
from tests.delivery_rigs import (
    GROUP,
    KICKED,
    LOST_GROUP,
    QUICK_RETRY,
    SECRETS,
    SLOW_RETRY,
    TELEGRAM,
    TICKET,
    House,
    events,
    running,
)

# --- What arrives -------------------------------------------------------------------------------


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


def test_two_queues_of_one_notification_get_a_ticket_each(house: House) -> None:
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
    """Before it the notification's token was the idempotency key. Migration 0012 keeps that key for
    recipients that were tried already."""
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


def test_once_delivers_everything_due_even_with_small_batches(house: House) -> None:
    house.configure(TELEGRAM, notifier__batch_size=2)
    house.skip_many(7)
    house.run_once()
    assert house.states() == ["sent"] * 7
    assert len(house.telegram.messages) == 7


def test_a_result_does_not_wait_for_slow_sends(house: House) -> None:
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
        await notifiers[0].run(once=True)  # what the other notifier still held when this one ended

    asyncio.run(both())

    assert house.is_sent()
    assert sorted(ticket.unique or "" for ticket in house.tracker.tickets) == sorted(
        f"{token}/st/DUTY/alert" for token in tokens
    )
    assert len(house.telegram.messages) == len(tokens)


def test_a_group_that_became_a_supergroup_gets_messages_under_its_new_id(house: House) -> None:
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


# --- What goes wrong with one recipient ---------------------------------------------------------


def test_one_channels_failure_never_repeats_the_other_channels_message(house: House) -> None:
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


def test_a_template_that_lacks_a_fact_blocks_only_that_row_until_it_is_fixed(
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
        # Nothing was tried, so nothing is given up.
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

    (templates / "en/job_skipped/telegram.text.j2").write_text("fixed\n")
    house.run_once(templates)
    assert house.is_sent()


def test_retry_tries_blocked_recipients_at_once(house: House, tmp_path: Path) -> None:
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


def test_a_notification_of_an_unknown_type_waits_and_the_others_are_sent(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer version has migrated the database and added the type."""
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
def test_unreadable_facts_affect_only_that_row(house: House, poison: dict[str, Any]) -> None:
    spoil_one_of_two(house, poison)
    assert house.states() in (["failed", "sent"], ["pending", "sent"])
    assert house.deliveries()[0]["last_error"]


@pytest.mark.parametrize(
    "poison", [{"elapsed_seconds": 1e300}, {"elapsed_seconds": 5, "limit": "long"}], ids=json.dumps
)
def test_odd_facts_that_no_message_prints_do_no_harm(house: House, poison: dict[str, Any]) -> None:
    spoil_one_of_two(house, poison)
    assert house.states() == ["sent", "sent"]


def spoil_one_of_two(house: House, poison: dict[str, Any]) -> None:
    """Delivers two notifications; the first one has these facts."""
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


def test_the_delay_that_a_channel_asks_for_is_kept(house: House) -> None:
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


def test_after_too_many_attempts_it_fails_with_the_last_reason(house: House) -> None:
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


# --- In doubt -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [RESET_AFTER, page(200, accepts=True)], ids=["reset", "page"])
def test_a_doubtful_message_is_sent_again_if_config_says_resend(house: House, fault: Fault) -> None:
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
def test_a_doubtful_message_waits_for_a_person_if_config_says_hold(
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


def test_a_bug_leaves_the_recipient_in_doubt_for_a_person_to_see(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("too long a wait")

    monkeypatch.setattr("notifier.delivery.sending.result", broken)
    house.configure(TELEGRAM)
    token = house.skip()
    house.run_once()
    row = house.delivery("telegram")
    assert (row["state"], row["last_error"]) == ("in_doubt", "OverflowError('too long a wait')")
    assert [bug["token"] for bug in events(caplog, "bug")] == [token]
