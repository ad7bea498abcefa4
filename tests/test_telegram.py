"""Telegram: what goes over the wire, and what each answer of the Bot API means."""

from __future__ import annotations

import asyncio
import base64
import html
import http.client
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.channels.outcomes import (
    Button,
    Earlier,
    Failed,
    InDoubt,
    Message,
    Misconfigured,
    Outcome,
    Retry,
    Sent,
)
from notifier.channels.presses import Press, Presses, PressesRefused
from notifier.channels.telegram import TEXT_LIMIT, Telegram, plain_text
from notifier.channels.telegram_settings import TelegramRecipient
from notifier.secrets import SecretMissing
from sandbox.standins import (
    HALF_AN_ANSWER,
    RESET_AFTER,
    RESET_BEFORE,
    Chat,
    Entity,
    Fault,
    TelegramMessage,
    TelegramStandIn,
    json_reply,
    late,
    page,
)
from sandbox.standins.telegram import FIRST_UPDATE_ID
from tests.channel_rigs import Rig, telegram
from tests.conftest import until

CHATS = (
    Chat(-1001, "Duty"),
    Chat(-1002, "City", name="@scooters_duty", topics=frozenset({7})),
    Chat(-3, "Old group", moved_to=-1001),
    Chat(-4, "Closed", forbids="bot was kicked from the group chat"),
)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with telegram(chats=CHATS) as rig:
        yield rig


def messages(rig: Rig) -> list[tuple[int, int | None, str]]:
    stand_in = rig.stand_in
    assert isinstance(stand_in, TelegramStandIn)
    return [(m.chat_id, m.message_thread_id, m.text) for m in stand_in.messages]


def entities(rig: Rig) -> list[Entity]:
    assert isinstance(rig.stand_in, TelegramStandIn)
    return [entity for message in rig.stand_in.messages for entity in message.entities]


# --- On the wire -------------------------------------------------------------------------------


def test_a_message_is_sent_as_html_without_a_link_preview(rig: Rig) -> None:
    assert rig.deliver() == Sent("1", sent_to="-1001")
    call = rig.stand_in.calls[0]
    assert (call.method, call.path) == ("POST", f"/bot{rig.secret}/sendMessage")
    assert call.headers["Content-Type"] == "application/json"
    assert call.body == {
        "chat_id": -1001,
        "text": "<b>Late</b> at Tverskaya &amp; Co",
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    assert messages(rig) == [(-1001, None, "Late at Tverskaya & Co")]
    assert entities(rig) == [Entity("bold", 0, 4)]


def test_a_message_reaches_a_topic_of_a_public_forum(rig: Rig) -> None:
    target = {"type": "telegram", "chat_id": "@scooters_duty", "message_thread_id": 7}
    assert rig.deliver(target=target) == Sent("1", sent_to="-1002")
    assert messages(rig) == [(-1002, 7, "Late at Tverskaya & Co")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chat_id", 0),
        ("chat_id", "-1001"),
        ("chat_id", "duty"),
        ("chat_id", "@"),
        ("chat_id", "@duty room"),
        ("chat_id", True),
        ("chat_id", 1.5),
        ("chat_id", None),
        ("chat_id", 2**63),
        ("message_thread_id", 1),
        ("message_thread_id", 0),
        ("message_thread_id", "7"),
        ("title", "Duty"),
        ("type", "st"),
    ],
)
def test_a_bad_recipient_is_refused_with_the_name_of_the_field(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TelegramRecipient.model_validate({"type": "telegram", "chat_id": -1001, field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


# --- Answers -----------------------------------------------------------------------------------

PERMANENT = [
    (400, "Bad Request: chat not found"),
    (400, "Bad Request: chat_id is empty"),
    (400, "Bad Request: group chat was upgraded to a supergroup chat"),
    (400, "Bad Request: message thread not found"),
    (400, "Bad Request: have no rights to send a message"),
    (400, "Bad Request: CHAT_WRITE_FORBIDDEN"),
    (400, "Bad Request: message is too long"),
    (400, "Bad Request: message text is empty"),
    (400, "Bad Request: BUTTON_URL_INVALID"),
    (400, "Bad Request: something new"),
    (403, "Forbidden: bot was blocked by the user"),
    (403, "Forbidden: user is deactivated"),
    (403, "Forbidden: bot was kicked from the supergroup chat"),
    (403, "Forbidden: bot is not a member of the channel chat"),
    (403, "Forbidden: the group chat was deleted"),
    (403, "Forbidden: bot can't initiate conversation with a user"),
    (403, "Forbidden: something new"),
]


@pytest.mark.parametrize(("status", "description"), PERMANENT)
def test_a_permanent_refusal_fails_at_once_with_telegrams_description(
    rig: Rig, status: int, description: str
) -> None:
    rig.stand_in.script(rig.stand_in.refusal(status, description))
    assert rig.deliver() == Failed(f"HTTP {status}: {description}")
    assert len(rig.stand_in.calls) == 1


@pytest.mark.parametrize(
    ("status", "description"), [(401, "Unauthorized"), (404, "Not Found"), (404, "")]
)
def test_an_unknown_bot_or_method_stops_the_channel(
    rig: Rig, status: int, description: str
) -> None:
    rig.stand_in.script(rig.stand_in.refusal(status, description))
    outcome = rig.deliver()
    assert isinstance(outcome, Misconfigured)
    assert outcome.reason == f"HTTP {status}: {description}".rstrip(": ")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"chat_id": -9}, "HTTP 400: Bad Request: chat not found"),
        ({"chat_id": -4}, "HTTP 403: Forbidden: bot was kicked from the group chat"),
        (
            {"chat_id": -1002, "message_thread_id": 8},
            "HTTP 400: Bad Request: message thread not found",
        ),
    ],
)
def test_a_chat_that_cannot_be_reached_fails(rig: Rig, target: dict[str, Any], reason: str) -> None:
    assert rig.deliver(target={"type": "telegram", **target}) == Failed(reason)
    assert messages(rig) == []


def test_the_delay_in_the_body_takes_precedence_over_the_header(rig: Rig) -> None:
    body = {"ok": False, "parameters": {"retry_after": 35}}
    rig.stand_in.script(Fault(reply=json_reply(429, body, {"Retry-After": "3"})))
    assert rig.deliver() == Retry("HTTP 429", timedelta(seconds=35))


@pytest.mark.parametrize("stated", ["soon", None, True, [], {}])
def test_an_invalid_delay_in_the_body_gives_way_to_the_header(rig: Rig, stated: Any) -> None:
    body = {"ok": False, "parameters": {"retry_after": stated}}
    rig.stand_in.script(Fault(reply=json_reply(429, body, {"Retry-After": "3"})))
    assert rig.deliver() == Retry("HTTP 429", timedelta(seconds=3))


@pytest.mark.parametrize(
    ("stated", "delay"), [(10**400, timedelta(days=1)), (-1, timedelta(0)), (float("nan"), None)]
)
def test_an_extreme_delay_in_the_body_is_capped(
    rig: Rig, stated: float, delay: timedelta | None
) -> None:
    body = {"ok": False, "parameters": {"retry_after": stated}}
    rig.stand_in.script(Fault(reply=json_reply(429, body)))
    assert rig.deliver() == Retry("HTTP 429", delay)


@pytest.mark.parametrize("result", [{}, None, [], {"message_id": None}])
def test_an_ok_answer_counts_as_sent_even_without_an_id(rig: Rig, result: Any) -> None:
    rig.stand_in.script(Fault(reply=json_reply(200, {"ok": True, "result": result})))
    assert rig.deliver() == Sent("")


# --- Corrected and sent again ------------------------------------------------------------------


def test_a_group_that_became_a_supergroup_gets_the_message_under_its_new_id(rig: Rig) -> None:
    outcome = rig.deliver(target={"type": "telegram", "chat_id": -3})
    assert outcome == Sent("1", {"type": "telegram", "chat_id": -1001}, "-1001")
    assert [body["chat_id"] for body in rig.bodies] == [-3, -1001]
    assert len(messages(rig)) == 1


def test_a_group_that_keeps_moving_is_not_followed_endlessly(rig: Rig) -> None:
    body = {"ok": False, "description": "moved", "parameters": {"migrate_to_chat_id": -5}}
    rig.stand_in.script(*[Fault(reply=json_reply(400, body))] * 5)
    assert rig.deliver() == Failed("HTTP 400: moved")
    assert len(rig.stand_in.calls) == 3


@pytest.mark.parametrize(
    "text",
    [
        "<b>Late</b> 5 < 6 & <br>R&D <ivan@example.org>",
        "<b>Late</b> 5 &lt; 6 &amp; <br>R&amp;D <ivan@example.org>",
    ],
)
def test_markup_that_telegram_cannot_parse_is_sent_as_plain_text(rig: Rig, text: str) -> None:
    assert rig.deliver(parts={"text": text}) == Sent("1", sent_to="-1001")
    assert ["parse_mode" in body for body in rig.bodies] == [True, False]
    assert messages(rig) == [(-1001, None, "Late 5 < 6 & <br>R&D <ivan@example.org>")]


def test_broken_markup_in_a_group_that_moved_still_arrives(rig: Rig) -> None:
    outcome = rig.deliver(target={"type": "telegram", "chat_id": -3}, parts={"text": "<b>Late</i>"})
    assert outcome == Sent("1", {"type": "telegram", "chat_id": -1001}, "-1001")
    assert messages(rig) == [(-1001, None, "Late")]


def test_plain_text_that_telegram_cannot_parse_fails(rig: Rig) -> None:
    refusal = rig.stand_in.refusal(400, "Bad Request: can't parse entities: no")
    rig.stand_in.script(refusal, refusal)
    assert rig.deliver() == Failed("HTTP 400: Bad Request: can't parse entities: no")
    assert len(rig.stand_in.calls) == 2


def test_the_answer_to_the_corrected_request_decides(rig: Rig) -> None:
    stand_in = rig.stand_in
    stand_in.script(
        stand_in.refusal(400, "Bad Request: can't parse entities"),
        stand_in.refusal(429, "Too Many Requests", 4),
    )
    assert rig.deliver() == Retry("HTTP 429: Too Many Requests", timedelta(seconds=4))


# --- Length ------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["x", "я", "🛴"])
def test_4096_code_points_are_sent_unchanged(rig: Rig, letter: str) -> None:
    assert rig.deliver(parts={"text": letter * TEXT_LIMIT}) == Sent("1", sent_to="-1001")
    assert messages(rig)[0][2] == letter * TEXT_LIMIT
    assert len(rig.stand_in.calls) == 1


def test_a_longer_text_is_cut_rather_than_lost(rig: Rig) -> None:
    text = "<b>Late</b> &amp; " + "<i>🛴</i>" * TEXT_LIMIT
    assert rig.deliver(parts={"text": text}) == Sent("1", sent_to="-1001")
    sent = messages(rig)[0][2]
    assert sent == "Late & " + "🛴" * (TEXT_LIMIT - 8) + "…"
    assert len(rig.stand_in.calls) == 1


def test_a_text_that_is_too_long_only_with_its_markup_is_not_cut(rig: Rig) -> None:
    text = "<b>Late</b> " * 500
    assert rig.deliver(parts={"text": text}) == Sent("1", sent_to="-1001")
    assert messages(rig)[0][2] == "Late " * 500


def test_plain_text_keeps_the_address_of_a_link() -> None:
    markup = 'See <a href="https://ops.example/m1?a=1&amp;b=2">mission <b>m1</b></a> &lt;b&gt;'
    assert plain_text(markup) == "See mission m1 (https://ops.example/m1?a=1&b=2) <b>"


@given(st.text())
def test_plain_text_restores_any_text_that_was_escaped(text: str) -> None:
    assert plain_text(f"<b>{html.escape(text)}</b>") == text


# --- What follows the first message ------------------------------------------------------------

BUTTON = Button("Acknowledge", "ack:1:0123")
KEYBOARD = {"inline_keyboard": [[{"text": "Acknowledge", "callback_data": "ack:1:0123"}]]}
EDITED = Sent("1", sent_to="-1001")


def bot_server(rig: Rig) -> TelegramStandIn:
    assert isinstance(rig.stand_in, TelegramStandIn)
    return rig.stand_in


def follow_up(
    rig: Rig,
    step: str = "resolved",
    *,
    reference: str | None = "1",
    address: str = "-1001",
    chat_id: int | str = -1001,
    text: str = "<b>Left</b> at 15:40",
    button: Button | None = None,
    may_be_sent: bool = False,
    **settings: Any,
) -> Outcome:
    """What becomes of an earlier message."""
    target = {"type": "telegram", "chat_id": chat_id}
    earlier = Earlier("key", reference, address)
    message = Message(f"key_{step}", target, {"text": text}, step, earlier, button, may_be_sent)

    async def once() -> Outcome:
        channel = rig.channel(**settings)
        try:
            return await channel.deliver(message)
        finally:
            await channel.aclose()

    return asyncio.run(once())


def operations(rig: Rig) -> list[str]:
    """What was asked for after the first message."""
    return [call.operation for call in rig.stand_in.calls[1:]]


def replies(rig: Rig) -> list[int | None]:
    return [message.reply_to for message in bot_server(rig).messages[1:]]


@pytest.mark.parametrize("step", ["acknowledged", "resolved"])
def test_an_edit_changes_the_text_and_removes_the_button(rig: Rig, step: str) -> None:
    message = Message("key", rig.target, rig.parts, button=BUTTON)
    asyncio.run(rig.channel().deliver(message))
    assert rig.stand_in.calls[0].body["reply_markup"] == KEYBOARD
    assert follow_up(rig, step) == EDITED
    assert rig.stand_in.calls[1].body == {
        "chat_id": -1001,
        "message_id": 1,
        "text": "<b>Left</b> at 15:40",
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    shown = bot_server(rig).shown(1)
    assert (shown.text, shown.buttons) == ("Left at 15:40", {})
    assert len(messages(rig)) == 1


def test_an_edit_may_keep_the_button(rig: Rig) -> None:
    rig.deliver()
    follow_up(rig, button=BUTTON)
    assert rig.stand_in.calls[1].body["reply_markup"] == KEYBOARD


def test_an_edit_that_was_made_already_is_a_success(rig: Rig) -> None:
    rig.deliver()
    assert [follow_up(rig), follow_up(rig)] == [EDITED, EDITED]
    assert len(bot_server(rig).edits) == 1


@pytest.mark.parametrize("fault", [RESET_BEFORE, RESET_AFTER, HALF_AN_ANSWER, page(502)])
def test_an_edit_without_an_answer_is_simply_repeated(rig: Rig, fault: Fault) -> None:
    rig.deliver()
    rig.stand_in.script(fault, operation="editMessageText")
    assert isinstance(follow_up(rig, in_doubt="hold"), Retry)
    assert follow_up(rig) == EDITED
    assert len(messages(rig)) == 1
    changed = [entry.changed for entry in rig.stand_in.ledger if entry.changed]
    assert changed == bot_server(rig).edits  # one: the second edit may change nothing
    assert len(changed) == 1


def test_an_edit_that_telegram_cannot_parse_becomes_plain_text(rig: Rig) -> None:
    rig.deliver()
    assert follow_up(rig, text="<b>Left") == EDITED
    assert bot_server(rig).shown(1).text == "<b>Left".removeprefix("<b>")


@pytest.mark.parametrize(
    "description",
    [
        "message to edit not found",
        "message can't be edited",
        "MESSAGE_ID_INVALID",
        "message identifier is not specified",
    ],
)
def test_what_cannot_be_edited_is_answered(rig: Rig, description: str) -> None:
    rig.deliver()
    refusal = rig.stand_in.refusal(400, f"Bad Request: {description}")
    rig.stand_in.script(refusal, operation="editMessageText")
    assert follow_up(rig) == Sent("2", sent_to="-1001")
    assert replies(rig) == [1]


def test_a_message_that_was_deleted_is_followed_by_one_that_answers_nothing(rig: Rig) -> None:
    rig.deliver()
    bot_server(rig).deleted.add(1)
    assert follow_up(rig) == Sent("2", sent_to="-1001")
    assert (operations(rig), replies(rig)) == (["editMessageText", "sendMessage"], [None])


def test_what_cannot_be_edited_and_then_gets_no_answer_is_in_doubt(rig: Rig) -> None:
    rig.deliver()
    bot_server(rig).frozen.add(1)
    rig.stand_in.script(RESET_AFTER)
    assert isinstance(follow_up(rig), InDoubt)


def test_after_a_lost_attempt_an_edit_is_repeated_but_no_new_message_is_sent(rig: Rig) -> None:
    rig.deliver()
    assert follow_up(rig, may_be_sent=True) == EDITED
    bot_server(rig).deleted.add(1)
    assert isinstance(follow_up(rig, may_be_sent=True), InDoubt)
    assert len(messages(rig)) == 1


def test_any_other_refusal_of_an_edit_counts_as_for_a_message(rig: Rig) -> None:
    rig.deliver()
    bot = bot_server(rig)
    bot.chats[-1001] = Chat(-1001, forbids="bot was kicked from the group chat")
    assert follow_up(rig) == Failed("HTTP 403: Forbidden: bot was kicked from the group chat")
    rig.stand_in.script(rig.stand_in.refusal(429, "Slow", 7), operation="editMessageText")
    assert follow_up(rig) == Retry("HTTP 429: Slow", timedelta(seconds=7))


def test_in_a_chat_that_has_moved_a_new_message_says_it(rig: Rig) -> None:
    outcome = follow_up(rig, address="-3", chat_id=-3)
    assert outcome == Sent("1", {"type": "telegram", "chat_id": -1001}, "-1001")
    assert [call.operation for call in rig.stand_in.calls] == ["editMessageText", "sendMessage"]
    assert "reply_parameters" not in rig.stand_in.calls[1].body
    assert follow_up(rig, address="-3") == Sent("2", sent_to="-1001")  # the move is known by now
    assert "reply_parameters" not in rig.stand_in.calls[2].body


def test_a_reply_in_a_chat_that_has_moved_answers_nothing(rig: Rig) -> None:
    outcome = follow_up(rig, "reminder", address="-3", chat_id=-3)
    assert outcome == Sent("1", {"type": "telegram", "chat_id": -1001}, "-1001")
    assert "reply_parameters" not in rig.stand_in.calls[1].body


def test_the_message_of_a_chat_with_a_name_is_edited_by_the_chats_number(rig: Rig) -> None:
    sent = rig.deliver(target={"type": "telegram", "chat_id": "@scooters_duty"})
    assert sent == Sent("1", sent_to="-1002")
    outcome = follow_up(rig, address="-1002", chat_id="@scooters_duty")
    assert outcome == Sent("1", sent_to="-1002")
    assert rig.stand_in.calls[1].body["chat_id"] == -1002


def test_a_reminder_and_a_resolution_may_answer_the_message(rig: Rig) -> None:
    rig.deliver()
    follow_up(rig, "reminder", button=BUTTON)
    follow_up(rig, "resolved", on_resolved="reply")
    follow_up(rig, "acknowledged", on_resolved="reply")
    assert operations(rig) == ["sendMessage", "sendMessage", "editMessageText"]
    assert replies(rig) == [1, 1]
    assert rig.stand_in.calls[1].body["reply_parameters"] == {
        "message_id": 1,
        "allow_sending_without_reply": True,
    }


@pytest.mark.parametrize("reference", [None, "", "DUTY-7"])
def test_without_the_number_of_the_message_a_new_one_says_it(
    rig: Rig, reference: str | None
) -> None:
    assert follow_up(rig, reference=reference) == EDITED
    assert [call.operation for call in rig.stand_in.calls] == ["sendMessage"]


# --- Presses of buttons --------------------------------------------------------------------------


def with_bot(rig: Rig, work: Callable[[Telegram], Awaitable[Any]], **settings: Any) -> Any:
    async def once() -> Any:
        channel = rig.channel(**settings)
        assert isinstance(channel, Telegram)
        try:
            return await work(channel)
        finally:
            await channel.aclose()

    return asyncio.run(once())


def pressed(rig: Rig, offset: int = 0, wait_seconds: int = 0) -> list[Press]:
    return list(with_bot(rig, lambda bot: bot.presses(offset, wait_seconds)).presses)


def message_with_button(rig: Rig) -> TelegramMessage:
    message = Message("key", rig.target, rig.parts, button=BUTTON)
    with_bot(rig, lambda bot: bot.deliver(message))
    return bot_server(rig).messages[-1]


def test_a_press_tells_which_button_of_which_chat_and_by_whom(rig: Rig) -> None:
    message = message_with_button(rig)
    press_id = bot_server(rig).press(message, by="ivan")
    bot_server(rig).press(message, by={"first_name": "Anna\u202e", "last_name": "K" * 300})
    bot_server(rig).press(message, by={"first_name": "\u2060"}, chat_id=-1002)
    first, second, third = pressed(rig)
    assert first == Press(press_id, "ack:1:0123", "-1001", None, "1", "@ivan")
    assert second.by == "Anna " + "K" * 195
    assert (third.by, third.chat_id, third.chat_name) == ("user 7", "-1002", "@scooters_duty")
    assert rig.stand_in.calls[-1].body == {
        "offset": 0,
        "limit": 100,
        "timeout": 0,
        "allowed_updates": ["callback_query"],
    }


def test_presses_before_the_offset_are_forgotten(rig: Rig) -> None:
    message = message_with_button(rig)
    for _ in range(2):
        bot_server(rig).press(message)
    _, second = pressed(rig)
    assert pressed(rig, FIRST_UPDATE_ID + 1) == [second]
    assert pressed(rig) == [second]
    assert pressed(rig, FIRST_UPDATE_ID + 1000) == [second]  # the offset of another bot
    assert pressed(rig, FIRST_UPDATE_ID + 2) == pressed(rig) == []


def test_a_long_poll_outlasts_the_channels_timeout(rig: Rig) -> None:
    rig.stand_in.script(late(0.3), operation="getUpdates")
    assert with_bot(rig, lambda bot: bot.presses(0, 1), timeout_seconds=0.1) == Presses()


def test_a_press_ends_the_wait(rig: Rig) -> None:
    message = message_with_button(rig)
    timer = threading.Timer(0.05, bot_server(rig).press, [message])
    timer.start()
    assert len(pressed(rig, wait_seconds=30)) == 1
    timer.join()


def test_a_second_poller_and_a_webhook_are_problems_that_say_what_to_do(rig: Rig) -> None:
    with ThreadPoolExecutor() as threads:
        first = threads.submit(pressed, rig, wait_seconds=30)
        until(lambda: bot_server(rig).polls == 1)
        assert pressed(rig) == []
    with pytest.raises(PressesRefused, match="another program polls") as caught:
        first.result()
    assert caught.value.is_final
    bot_server(rig).webhook = True
    with pytest.raises(PressesRefused, match="webhook"):
        pressed(rig)


@pytest.mark.parametrize("fault", [RESET_BEFORE, HALF_AN_ANSWER, page(502)])
def test_a_lost_answer_to_a_poll_is_no_reason_for_a_person_to_act(rig: Rig, fault: Fault) -> None:
    rig.stand_in.script(fault, operation="getUpdates")
    with pytest.raises(PressesRefused) as caught:
        pressed(rig)
    assert not caught.value.is_final
    assert rig.secret not in str(caught.value)


def test_the_presser_is_shown_at_most_200_characters(rig: Rig) -> None:
    assert with_bot(rig, lambda bot: bot.answer_press("1", "я" * 300)) is None
    assert bot_server(rig).shown_to("1") == ["я" * 200]


def test_a_press_that_is_too_old_to_be_answered_is_a_line_in_the_log(rig: Rig) -> None:
    bot_server(rig).expired.add("1")
    assert "too old" in with_bot(rig, lambda bot: bot.answer_press("1", "Yours"))
    rig.stand_in.script(RESET_BEFORE, operation="answerCallbackQuery")
    reason = with_bot(rig, lambda bot: bot.answer_press("2", "Yours"))
    assert reason
    assert rig.secret not in reason


# --- Proxy -------------------------------------------------------------------------------------


@dataclass
class Proxy:
    """A forward proxy for http:// that wants the user ops and the password hunter2."""

    url: str
    targets: list[str]


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def forward_proxy() -> Iterator[Proxy]:
    allowed = "Basic " + base64.b64encode(b"ops:hunter2").decode()
    targets: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Proxy-Authorization"] != allowed:
                self.send_response(407)
                self.end_headers()
                return
            target = urlsplit(self.path)
            targets.append(target.netloc)
            upstream = http.client.HTTPConnection(target.netloc, timeout=5)
            upstream.request("POST", target.path, body, {"Content-Type": "application/json"})
            answer = upstream.getresponse()
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(answer.read())
            upstream.close()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as url:
        yield Proxy(url, targets)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setenv("PROXY_AUTH", "ops:hunter2")
    with forward_proxy() as proxy:
        yield proxy


def test_messages_go_through_the_proxy(rig: Rig, proxy: Proxy) -> None:
    assert rig.deliver(proxy=proxy.url, proxy_auth_env="PROXY_AUTH") == Sent("1", sent_to="-1001")
    assert proxy.targets == [urlsplit(rig.stand_in.base_url).netloc]
    assert len(messages(rig)) == 1


def test_a_proxy_that_refuses_us_stops_the_channel(
    rig: Rig, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_AUTH", "ops:wrong")
    for auth in (None, "PROXY_AUTH"):
        assert isinstance(rig.deliver(proxy=proxy.url, proxy_auth_env=auth), Misconfigured)
    assert rig.stand_in.calls == []


def test_a_proxy_that_refuses_our_password_stops_the_channel_and_one_that_fails_is_retried(
    rig: Rig,
) -> None:
    for status, outcome in ((407, Misconfigured), (502, Retry)):
        with tunnel_refusing_proxy(status) as url:
            assert isinstance(rig.deliver(proxy=url, base_url="https://127.0.0.1:1"), outcome)


@contextmanager
def tunnel_refusing_proxy(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(Handler) as url:
        yield url


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_message_to_a_proxy_that_is_down_is_certainly_not_delivered(
    rig: Rig, scheme: str
) -> None:
    outcome = rig.deliver(proxy=f"{scheme}://127.0.0.1:1")
    assert isinstance(outcome, Retry)
    assert rig.stand_in.calls == []


def test_a_proxy_url_with_credentials_is_refused_without_showing_them(rig: Rig) -> None:
    with pytest.raises(ValidationError, match="must not hold a user or a password") as caught:
        rig.channel(proxy="http://ops:hunter2@127.0.0.1:3128")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "127.0.0.1:3128", "ftp://127.0.0.1", "http://h/path"])
def test_an_invalid_proxy_url_is_refused(rig: Rig, url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rig.channel(proxy=url)
    assert [error["loc"] for error in caught.value.errors()] == [("proxy",)]


@pytest.mark.parametrize(("secret", "problem"), [("hunter2", "user:password"), ("", "missing")])
def test_invalid_proxy_credentials_are_refused_without_showing_them(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, secret: str, problem: str
) -> None:
    monkeypatch.setenv("PROXY_AUTH", secret)
    with pytest.raises(SecretMissing, match=problem) as caught:
        rig.channel(proxy="http://127.0.0.1:3128", proxy_auth_env="PROXY_AUTH")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("in_doubt", ["resend", "hold"])
def test_in_doubt_must_be_resend_or_hold(rig: Rig, in_doubt: str) -> None:
    rig.channel(in_doubt=in_doubt)
    with pytest.raises(ValidationError):
        rig.channel(in_doubt=in_doubt + "s")
