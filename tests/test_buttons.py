"""Buttons below messages: who may ask for presses, what a press does, and what is answered."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from notifier.delivery import buttons
from notifier.locales import LOCALES, press_answer
from sandbox.standins import RESET_BEFORE
from tests.conftest import until
from tests.delivery_rigs import GROUP, OTHER_GROUP, TELEGRAM, Daemon, House, events, running

WORKER = "host:1:aa"
WAITING_PRESS = (
    "select 1 from pg_stat_activity where datname = current_database()"
    " and wait_event_type = 'Lock' and query like '%press_buttons%'"
)
ANSWERS = LOCALES["en"].press_answers


def told(house: House) -> str:
    """A notification that the group was told of; its token."""
    house.configure(TELEGRAM, channels__telegram__buttons=True)
    token = house.skip()
    house.run_once()
    return token


def data_of(house: House, token: str) -> str:
    """What its button stands for."""
    return str(
        house.database.value(
            "select scooters_ops.acknowledge_data(notification_id, idempotency_token)"
            " from scooters_ops.monitoring_notifications where idempotency_token = %s",
            token,
        )
    )


def poll(house: House, worker: str = WORKER, seconds: float = 60) -> int | None:
    offset = house.database.value(
        "select scooters_ops.poll_buttons(%s, 'telegram', %s)", worker, seconds
    )
    return None if offset is None else int(offset)


def press(house: House, *presses: dict[str, Any], worker: str = WORKER, offset: int = 8) -> Any:
    """The result of each press, and who has the notification."""
    rows = house.database.rows(
        "select * from scooters_ops.press_buttons(%s, 'telegram', %s, %s)",
        worker,
        json.dumps([{"press_id": str(n), **each} for n, each in enumerate(presses)]),
        offset,
    )
    return [(row["result"], row["acknowledged_by"]) for row in rows]


def by(data: str, name: str = "@ivan", chat_id: int = GROUP, **more: Any) -> dict[str, Any]:
    return {"data": data, "by": name, "chat_id": str(chat_id), **more}


def acknowledged_by(house: House) -> str | None:
    name = house.database.value("select acknowledged_by from scooters_ops.monitoring_notifications")
    return None if name is None else str(name)


def resolve(house: House) -> None:
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set resolved_at = now(), resolution = 'ended', finished_at = now()"
    )


# --- The right to poll ---------------------------------------------------------------------------


def test_one_notifier_polls_until_it_gives_the_right_back_or_its_right_ends(house: House) -> None:
    assert poll(house) == 0
    assert poll(house) == 0
    assert poll(house, "other") is None
    assert poll(house, "other", 0) is None  # giving back what one does not have changes nothing
    assert poll(house, "other") is None
    poll(house, WORKER, 0)
    assert poll(house, "other") == 0
    assert poll(house) is None
    poll(house, "other", 0.000001)
    assert poll(house) == 0


def test_a_clock_that_was_set_back_does_not_keep_the_right_for_a_dead_notifier(
    house: House,
) -> None:
    poll(house, "dead", 100_000)
    assert poll(house, WORKER, 60) == 0


def test_a_notifier_that_has_lost_the_right_presses_nothing(house: House) -> None:
    data = data_of(house, told(house))
    poll(house, WORKER, 0)
    poll(house, "other")
    assert press(house, by(data)) == []
    assert acknowledged_by(house) is None
    assert poll(house, "other") == 0
    assert press(house, by(data), worker="other", offset=9) == [("acknowledged", "@ivan")]
    assert poll(house, "other") == 9


# --- What a press does ---------------------------------------------------------------------------


def test_the_first_press_has_it_and_later_ones_are_told_whose_it_is(house: House) -> None:
    data = data_of(house, told(house))
    poll(house)
    assert press(house, by(data), by(data, "@anna")) == [
        ("acknowledged", "@ivan"),
        ("already", "@ivan"),
    ]
    assert press(house, by(data)) == [("already", "@ivan")]
    assert acknowledged_by(house) == "@ivan"


def test_of_a_press_and_an_acknowledgement_at_the_same_time_one_wins(house: House) -> None:
    token = told(house)
    data = data_of(house, token)
    poll(house)
    results: list[Any] = []
    with house.database.connect() as other:
        with other.transaction():
            other.execute("select scooters_ops.acknowledge(%s, 'anna')", (token,))
            presser = threading.Thread(target=lambda: results.extend(press(house, by(data))))
            presser.start()
            with house.database.connect() as observer:
                until(lambda: observer.execute(WAITING_PRESS).fetchone())
        presser.join()
    assert results == [("already", "anna")]


def test_a_press_after_the_end_says_so(house: House) -> None:
    data = data_of(house, told(house))
    resolve(house)
    poll(house)
    assert press(house, by(data)) == [("resolved", None)]
    assert acknowledged_by(house) is None


def test_only_a_chat_that_was_told_can_acknowledge(house: House) -> None:
    data = data_of(house, told(house))
    poll(house)
    assert (
        press(house, by(data, chat_id=OTHER_GROUP), {"data": data, "by": "@ivan"})
        == [("elsewhere", None)] * 2
    )
    assert acknowledged_by(house) is None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("sent_to = '-77'", {"chat_id": "-77"}),
        ("target = jsonb_set(target, '{chat_id}', '\"@Duty\"')", {"chat_name": "@duty"}),
        ("state = 'sending', sent_at = null, leased_by = 'dead'", {"chat_id": str(GROUP)}),
        ("state = 'in_doubt', sent_at = null", {"chat_id": str(GROUP)}),
    ],
    ids=["moved", "named", "answer lost", "in doubt"],
)
def test_a_chat_that_has_or_may_have_the_message_was_told(
    house: House, change: str, place: dict[str, str]
) -> None:
    data = data_of(house, told(house))
    house.database.connection.execute(
        f"update scooters_ops.notification_recipients set {change} where step = 'alert'"
    )
    poll(house)
    assert press(house, {"data": data, "by": "@ivan", **place}) == [("acknowledged", "@ivan")]


def test_the_new_chat_of_a_group_that_moved_was_told(house: House) -> None:
    data = data_of(house, told(house))
    house.database.connection.execute(
        "update scooters_ops.delivery_targets set moved_to = '{\"chat_id\": -77}'"
        " where address = %s",
        (str(GROUP),),
    )
    poll(house)
    assert press(house, by(data, chat_id=-77)) == [("acknowledged", "@ivan")]


def test_presses_that_nobody_can_know_are_unknown(house: House) -> None:
    data = data_of(house, told(house))
    poll(house)
    number = data.split(":")[1]
    forged = ["", "ack", f"ack:{number}:{'0' * 32}", f"ack:{'9' * 40}:{'0' * 32}", f"{data}0"]
    assert press(house, *map(by, forged)) == [("unknown", None)] * len(forged)
    house.database.connection.execute("delete from scooters_ops.notification_recipients")
    house.database.connection.execute("delete from scooters_ops.monitoring_notifications")
    assert press(house, by(data)) == [("unknown", None)]


def test_a_press_that_fails_does_not_hold_up_the_others(house: House) -> None:
    data = data_of(house, told(house))
    poll(house)
    assert press(house, by(data, "x" * 201), by(data), offset=12) == [
        ("failed", None),
        ("acknowledged", "@ivan"),
    ]
    assert poll(house) == 12


# --- The loop ------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buttons, "WAIT_SECONDS", 1)
    monkeypatch.setattr(buttons, "REST_SECONDS", 0.05)
    monkeypatch.setattr(buttons, "_delay_seconds", lambda _: 0.05)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs the test in an event loop."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


@pytest.fixture
def data(house: House) -> str:
    """What the button of a message stands for that the group was sent."""
    return data_of(house, told(house))


def poller(house: House) -> str | None:
    """The notifier that polls now."""
    (row,) = house.database.rows("select polled_by, is_polled from scooters_ops.button_status")
    return str(row["polled_by"]) if row["is_polled"] else None


@asynccontextmanager
async def polling(house: House) -> AsyncIterator[Daemon]:
    """A notifier that polls."""
    async with running() as daemon:
        await daemon.until(lambda: poller(house) == daemon.notifier.name)
        yield daemon


async def answer_to(daemon: Daemon, house: House, **pressed: Any) -> str:
    """Presses the button of the first message; what the presser was shown."""
    press_id = house.telegram.press(house.telegram.messages[0], **pressed)
    await daemon.until(lambda: bool(house.telegram.shown_to(press_id)))
    (answer,) = house.telegram.shown_to(press_id)
    return answer


@in_loop
async def test_each_press_is_answered_in_words_and_logged(
    house: House, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with polling(house) as daemon:
        other = await answer_to(daemon, house, data=data, by="eve", chat_id=OTHER_GROUP)
        first = await answer_to(daemon, house, data=data, by="ivan")
        second = await answer_to(daemon, house, data=data, by={"first_name": "Anna\u202e K"})
        unknown = await answer_to(daemon, house, data="ack:1:\x00\ud800")
        await daemon.until(lambda: len(events(caplog, "button_pressed")) == 4)
    assert other == ANSWERS["elsewhere"]
    assert first == ANSWERS["acknowledged"]
    assert second == "@ivan has acknowledged it already."
    assert unknown == ANSWERS["unknown"]
    assert acknowledged_by(house) == "@ivan"
    logged = [(each["by"], each["result"]) for each in events(caplog, "button_pressed")]
    assert logged == [
        ("@eve", "elsewhere"),
        ("@ivan", "acknowledged"),
        ("Anna K", "already"),
        ("@duty", "unknown"),
    ]


@in_loop
async def test_all_messages_show_who_pressed_and_lose_their_buttons(
    house: House, data: str
) -> None:
    bot = house.telegram
    assert bot.messages[0].buttons == {"Acknowledge": data}
    async with polling(house) as daemon:
        await answer_to(daemon, house, by={"first_name": "<b>Ivan & Co</b>"})
        await daemon.until(lambda: bool(bot.edits))
    assert "<b>Ivan & Co</b>" in bot.shown(1).text
    assert bot.shown(1).buttons == {}
    assert len(bot.messages) == 1


@in_loop
async def test_two_who_press_at_once_are_both_answered(house: House, data: str) -> None:
    async with polling(house) as daemon:
        message = house.telegram.messages[0]
        ids = [house.telegram.press(message, by=name, data=data) for name in ("ivan", "anna")]
        await daemon.until(lambda: all(house.telegram.shown_to(each) for each in ids))
    assert [house.telegram.shown_to(each) for each in ids] == [
        [ANSWERS["acknowledged"]],
        ["@ivan has acknowledged it already."],
    ]


@in_loop
async def test_what_a_dead_notifier_has_done_is_not_done_again_and_what_it_has_not_is(
    house: House,
    data: str,
) -> None:
    """It died between the commit and its answers."""
    message = house.telegram.messages[0]
    done, open_ = (house.telegram.press(message, by=name, data=data) for name in ("ivan", "anna"))
    poll(house, "dead", 0.3)
    update_id = int(done) - 4382 * 10**15
    press(house, by(data), worker="dead", offset=update_id + 1)
    async with polling(house) as daemon:
        await daemon.until(lambda: bool(house.telegram.shown_to(open_)))
    assert house.telegram.shown_to(open_) == ["@ivan has acknowledged it already."]
    assert house.telegram.shown_to(done) == []


@in_loop
async def test_another_notifier_polls_as_soon_as_the_first_one_stops(
    house: House, data: str
) -> None:
    async with polling(house) as first, running() as second:
        await first.stop()
        assert poller(house) in (None, second.notifier.name)
        await second.until(lambda: poller(house) == second.notifier.name)
        assert await answer_to(second, house, data=data) == ANSWERS["acknowledged"]


@in_loop
async def test_a_press_that_cannot_be_answered_has_its_effect(
    house: House, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    house.telegram.script(RESET_BEFORE, operation="answerCallbackQuery")
    async with polling(house) as daemon:
        house.telegram.press(house.telegram.messages[0], data=data, by="ivan")
        await daemon.until(lambda: bool(events(caplog, "button_pressed")))
    assert acknowledged_by(house) == "@ivan"
    assert events(caplog, "button_pressed")[0]["not_answered"]


@in_loop
async def test_presses_are_answered_after_the_database_was_away(house: House, data: str) -> None:
    async with polling(house) as daemon:
        house.cut_connections()
        assert await answer_to(daemon, house, data=data) == ANSWERS["acknowledged"]


@in_loop
async def test_the_config_turns_polling_off_and_on(house: House, data: str) -> None:
    async with polling(house) as daemon:
        await answer_to(daemon, house, data=data)
        await asyncio.to_thread(house.configure, TELEGRAM)
        assert house.database.rows("select * from scooters_ops.button_status") == []
        await daemon.until(
            lambda: house.database.value(
                "select polled_until <= now() from scooters_ops.button_polls"
            )
        )
        polls = house.telegram.polls
        await asyncio.to_thread(house.configure, TELEGRAM, channels__telegram__buttons=True)
        await daemon.until(lambda: house.telegram.polls > polls)


@pytest.mark.parametrize("setting", [False, "shown"])
@in_loop
async def test_nobody_polls_without_buttons_or_for_another_program(
    house: House, setting: bool | str
) -> None:
    house.configure(TELEGRAM, channels__telegram__buttons=setting)
    house.skip()
    async with running() as daemon:
        await daemon.until(house.is_sent)
    assert {call.operation for call in house.telegram.calls} == {"sendMessage"}
    assert bool(house.telegram.messages[0].buttons) == (setting == "shown")


def test_status_says_what_to_do_when_others_get_the_presses(
    house: House, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused() -> None:
        async with polling(house) as daemon:
            house.telegram.webhook = True
            await daemon.until(lambda: bool(events(caplog, "buttons_refused")))

    async def reported() -> None:
        async with polling(house) as daemon:
            for _ in range(3):  # each ends the wait of a poll
                await answer_to(daemon, house, data=data)

    asyncio.run(refused())
    shown = house.cli("status")
    assert shown.returncode == 1
    assert "Presses of the buttons in telegram do not reach the notifiers" in shown.stdout
    assert "set channels.telegram.buttons to false" in shown.stdout
    (row,) = json.loads(house.cli("status", "--json").stdout)["buttons"]
    assert row["channel"] == "telegram"
    assert "webhook" in row["problem"]

    house.telegram.webhook = False
    asyncio.run(reported())
    poll(house)
    shown = house.cli("status")
    assert f"Buttons: {WORKER} asks telegram for presses" in shown.stdout
    assert "do not reach" not in shown.stdout


@pytest.mark.parametrize("locale", LOCALES)
def test_every_answer_fits_what_telegram_shows(locale: str) -> None:
    assert LOCALES[locale].press_answers.keys() == ANSWERS.keys()
    for result in ANSWERS:
        assert len(press_answer(result, "@" + "x" * 32, locale=LOCALES[locale])) <= 200
