"""Channels that limit how many messages they take, or refuse all of them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import pytest

from sandbox.standins import RESET_BEFORE, page
from tests.delivery_rigs import (
    GROUP,
    OTHER_GROUP,
    QUICK_RETRY,
    SLOW_RETRY,
    TELEGRAM,
    TICKET,
    House,
    events,
    running,
)

# --- Limits -------------------------------------------------------------------------------------


def test_once_waits_for_limits_and_sends_everything_due(house: House) -> None:
    """Measured as the server does: from one arrival to the next."""
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


@pytest.mark.slow
def test_ten_thousand_for_a_dead_queue_and_a_slow_chat_delay_nobody_else(
    house: House,
) -> None:
    """Telegram's limits let the chat have one message per second."""
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


# --- A channel that refuses us ------------------------------------------------------------------


def test_a_revoked_token_pauses_only_its_channel_until_it_works_again(
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
    # It was not the recipients' fault: the refused attempts do not count.
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
def test_a_token_that_works_again_ends_the_pause_even_if_no_message_arrives(
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
    house.run_once()  # its start tries the channel again: the token may be a new one
    assert house.database.value(paused) == 0
    assert len(house.telegram.calls) == 2


def test_no_answer_or_a_gateways_answer_leaves_the_channel_paused(house: House) -> None:
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


def test_after_a_success_the_next_pause_is_as_short_as_the_first(
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


def test_once_tries_a_refused_channel_only_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.configure(TELEGRAM, notifier__batch_size=2, notifier__retry=SLOW_RETRY)
    house.telegram.token = "110201543:another"
    house.skip_many(6)
    house.run_once()
    assert house.states() == ["pending"] * 6
    assert len(house.telegram.calls) == 2
    # Refusals of sends that were in flight together count once.
    assert [pause["failures"] for pause in events(caplog, "channel_paused")] == [1]
