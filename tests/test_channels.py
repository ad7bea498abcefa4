"""What every channel promises, whatever its server does: one suite over the registry."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import ValidationError

from notifier.channels import CHANNELS
from notifier.channels.base import REASON_LIMIT, Channel
from notifier.channels.http import refusal
from notifier.channels.outcomes import Failed, InDoubt, Message, Misconfigured, Outcome, Retry, Sent
from notifier.channels.settings import ChannelSettings, Recipient
from notifier.secrets import SecretMissing, Secrets
from sandbox.standins import (
    HALF_AN_ANSWER,
    RESET_AFTER,
    RESET_BEFORE,
    Fault,
    Reply,
    json_reply,
    late,
    page,
    redirect,
)
from tests.channel_rigs import RIGS, TOKEN, Rig
from tests.conftest import PATIENCE_SECONDS


@pytest.fixture(params=sorted(CHANNELS))
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with RIGS[request.param]() as rig:
        yield rig


def assert_in_doubt(rig: Rig, outcome: Outcome) -> None:
    """An idempotent channel retries what is in doubt, because repeating is harmless."""
    assert isinstance(outcome, Retry if rig.kind.idempotent else InDoubt)


def refused(rig: Rig, status: int, text: str = "no", retry_after: int | None = None) -> Outcome:
    rig.stand_in.script(rig.stand_in.refusal(status, text, retry_after))
    return rig.deliver()


# --- The registry ------------------------------------------------------------------------------


def test_every_channel_has_a_rig() -> None:
    assert set(RIGS) == set(CHANNELS)


@pytest.mark.parametrize("name", sorted(CHANNELS))
def test_a_channel_is_registered_under_its_name(name: str) -> None:
    kind = CHANNELS[name]
    assert kind.name == name
    assert kind.parts
    assert kind.html_parts <= set(kind.parts)
    assert kind.Recipient.model_json_schema()["properties"]["type"]["const"] == name


# --- Delivered ---------------------------------------------------------------------------------


def test_a_message_is_delivered_with_one_request(rig: Rig) -> None:
    outcome = rig.deliver()
    assert isinstance(outcome, Sent)
    assert outcome.reference
    assert outcome.moved_to is None
    assert len(rig.stand_in.calls) == rig.accepted() == 1


def test_a_slash_at_the_end_of_base_url_makes_no_difference(rig: Rig) -> None:
    assert isinstance(rig.deliver(base_url=rig.stand_in.base_url + "/"), Sent)


def test_proxy_variables_of_the_environment_are_ignored(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert isinstance(rig.deliver(), Sent)


# --- No answer ---------------------------------------------------------------------------------


def test_a_refused_connection_is_certainly_not_delivered(rig: Rig) -> None:
    with rig.stand_in.down():
        outcome = rig.deliver()
    assert isinstance(outcome, Retry)
    assert outcome.delay is None
    assert rig.stand_in.calls == []
    assert isinstance(rig.deliver(), Sent)


def test_a_reset_before_the_message_was_taken_is_in_doubt(rig: Rig) -> None:
    rig.stand_in.script(RESET_BEFORE)
    assert_in_doubt(rig, rig.deliver())
    assert rig.accepted() == 0


def test_a_reset_after_the_message_was_taken_is_in_doubt(rig: Rig) -> None:
    rig.stand_in.script(RESET_AFTER)
    assert_in_doubt(rig, rig.deliver())
    assert rig.accepted() == 1


def test_an_idempotent_channel_may_repeat_what_was_in_doubt(rig: Rig) -> None:
    rig.stand_in.script(RESET_AFTER)
    rig.deliver()
    assert isinstance(rig.deliver(), Sent)
    assert rig.accepted() == (1 if rig.kind.idempotent else 2)


def test_an_answer_that_comes_too_late_is_in_doubt(rig: Rig) -> None:
    rig.stand_in.script(late(60))
    assert_in_doubt(rig, rig.deliver(timeout_seconds=0.6))
    assert rig.accepted() == 1


@pytest.mark.parametrize("head", ["X-Endless: ", "Content-Length: 1000000\r\n\r\n"])
def test_an_answer_that_trickles_in_times_out(rig: Rig, head: str) -> None:
    with trickling_server(head) as base_url:
        assert_in_doubt(rig, rig.deliver(base_url=base_url, timeout_seconds=0.6))


# --- Unreadable answers ------------------------------------------------------------------------


def assert_is_not_lost(rig: Rig, outcome: Outcome) -> None:
    """An idempotent channel may ask the server at once, or repeat the message later."""
    assert isinstance(outcome, (Sent, Retry) if rig.kind.idempotent else InDoubt)
    assert rig.accepted() == 1


def test_half_an_answer_to_a_message_that_was_taken_does_not_lose_it(rig: Rig) -> None:
    rig.stand_in.script(HALF_AN_ANSWER)
    assert_is_not_lost(rig, rig.deliver())


def test_a_web_page_instead_of_the_answer_does_not_lose_a_message_that_was_taken(rig: Rig) -> None:
    rig.stand_in.script(page(200, accepts=True))
    assert_is_not_lost(rig, rig.deliver())


def test_a_web_page_instead_of_the_answer_is_not_a_success(rig: Rig) -> None:
    rig.stand_in.script(page(200))
    assert_in_doubt(rig, rig.deliver())


UNREADABLE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"12",
    b"\xff\xfe",
    b'{"ok": 1, "key": 5}',
    b'{"ok": false, "key": ""}',
    b"[" * 100_000,
    b" " * (2 << 20) + b'{"ok": true, "key": "DUTY-1"}',
]


@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: repr(body[:12]))
def test_a_success_that_cannot_be_read_is_in_doubt(rig: Rig, body: bytes) -> None:
    rig.stand_in.script(Fault(reply=Reply(200, body, {"Content-Type": "application/json"})))
    assert_in_doubt(rig, rig.deliver())


@pytest.mark.parametrize(
    "body",
    [
        *UNREADABLE,
        b'{"description": [], "parameters": [], "errors": [1], "errorMessages": {"a": 1}}',
        b'{"description": null, "parameters": {"migrate_to_chat_id": true}, "errorMessages": [3]}',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_refusal_that_cannot_be_read_is_judged_by_its_status(rig: Rig, body: bytes) -> None:
    reply = {"Content-Type": "application/json"}
    rig.stand_in.script(Fault(reply=Reply(400, body, reply)), Fault(reply=Reply(503, body, reply)))
    assert isinstance(rig.deliver(), Failed)
    assert isinstance(rig.deliver(), Retry)


def test_half_of_a_refusal_is_judged_by_its_status(rig: Rig) -> None:
    for status in (400, 429):
        reply = rig.stand_in.refusal(status, "no").reply
        rig.stand_in.script(Fault(reply=reply, ending="half"))
    assert isinstance(rig.deliver(), Failed)
    assert isinstance(rig.deliver(), Retry)


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_that_lost_the_answer_may_have_passed_the_message_on(
    rig: Rig, status: int
) -> None:
    rig.stand_in.script(page(status, accepts=True))
    assert_in_doubt(rig, rig.deliver())
    assert rig.accepted() == 1


@pytest.mark.parametrize("status", [400, 403, 429, 503])
def test_a_web_page_that_refuses_comes_from_a_gateway_and_is_retried(rig: Rig, status: int) -> None:
    rig.stand_in.script(page(status))
    assert isinstance(rig.deliver(), Retry)


@pytest.mark.parametrize("status", [401, 404])
def test_a_web_page_where_the_api_should_be_means_a_wrong_address(rig: Rig, status: int) -> None:
    rig.stand_in.script(page(status))
    assert isinstance(rig.deliver(), Misconfigured)


# --- Refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 599])
def test_a_temporary_failure_is_retried(rig: Rig, status: int) -> None:
    assert refused(rig, status) == Retry(f"HTTP {status}: no", None)


@pytest.mark.parametrize("status", [400, 403, 413, 422])
def test_a_refused_message_fails(rig: Rig, status: int) -> None:
    assert refused(rig, status) == Failed(f"HTTP {status}: no")


@pytest.mark.parametrize("status", [401, 407])
def test_a_refused_token_stops_the_channel(rig: Rig, status: int) -> None:
    assert refused(rig, status) == Misconfigured(f"HTTP {status}: no")


def test_a_wrong_token_stops_the_channel(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rig.secret_name, "1:revoked")
    assert isinstance(rig.deliver(), Misconfigured)
    assert rig.accepted() == 0


@pytest.mark.parametrize("status", [400, 403, 409, 413, 422, 429])
def test_an_answer_of_the_api_about_the_message_proves_that_the_token_works(
    rig: Rig, status: int
) -> None:
    outcome = refused(rig, status)
    assert isinstance(outcome, Failed | Retry)
    assert outcome.is_authenticated


def test_only_an_answer_of_the_api_itself_proves_that_the_token_works(rig: Rig) -> None:
    no_api = Reply(403, b"blocked by policy", {"Content-Type": "text/plain"})
    faults = [rig.stand_in.refusal(status, "no") for status in (408, 500, 503)]
    faults += [RESET_BEFORE, page(400), page(403), page(429), page(503), Fault(reply=no_api)]
    for fault in faults:
        rig.stand_in.script(fault)
        outcome = rig.deliver()
        assert not getattr(outcome, "is_authenticated", False), (fault, outcome)
    with rig.stand_in.down():
        outcome = rig.deliver()
    assert isinstance(outcome, Retry)
    assert not outcome.is_authenticated


def test_a_throttled_message_waits_as_long_as_the_server_says(rig: Rig) -> None:
    assert refused(rig, 429, "flood", 7) == Retry("HTTP 429: flood", timedelta(seconds=7))


def test_a_throttled_message_without_a_stated_delay_is_retried_without_one(rig: Rig) -> None:
    assert refused(rig, 429, "flood") == Retry("HTTP 429: flood", None)


def delay_of(rig: Rig, header: str) -> timedelta | None:
    rig.stand_in.script(Fault(reply=json_reply(429, {}, {"Retry-After": header})))
    outcome = rig.deliver()
    assert isinstance(outcome, Retry)
    return outcome.delay


def test_retry_after_may_be_a_date(rig: Rig) -> None:
    delay = delay_of(rig, format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True))
    assert delay is not None
    assert timedelta(minutes=4) < delay <= timedelta(minutes=5)


@pytest.mark.parametrize(
    ("header", "delay"),
    [
        ("0", timedelta(0)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta(0)),
        ("9" * 400, timedelta(days=1)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=1)),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_an_invalid_or_extreme_retry_after_does_no_harm(
    rig: Rig, header: str, delay: timedelta | None
) -> None:
    assert delay_of(rig, header) == delay


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(rig: Rig, status: int) -> None:
    with RIGS[rig.kind.name]() as elsewhere:
        rig.stand_in.script(redirect(f"{elsewhere.stand_in.base_url}/{rig.secret}", status))
        outcome = rig.deliver()
        assert elsewhere.stand_in.calls == []
    assert isinstance(outcome, Misconfigured)
    assert "redirect" in outcome.reason


def test_an_invalid_target_fails_without_a_request(rig: Rig) -> None:
    outcome = rig.deliver(target={"type": rig.kind.name, "unknown": 1})
    assert isinstance(outcome, Failed)
    assert "Field required" in outcome.reason
    assert rig.stand_in.calls == []


# --- Reasons and secrets -----------------------------------------------------------------------


def test_a_reason_is_one_short_line(rig: Rig) -> None:
    outcome = refused(rig, 400, "first\nsecond\x00\x1b[31m third " + "x" * 5000)
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("HTTP 400: first second [31m third xxx")
    assert len(outcome.reason) == REASON_LIMIT
    assert outcome.reason.isprintable()


def test_no_secret_appears_in_a_reason_or_a_log(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stand_in = rig.stand_in
    echo = f"{'x' * (REASON_LIMIT - 40)} POST /bot{rig.secret}/ with {rig.secret}"
    stand_in.script(
        stand_in.refusal(400, echo),
        stand_in.refusal(401, echo),
        stand_in.refusal(429, echo, 1),
        redirect(f"{stand_in.base_url}/{rig.secret}"),
        page(502),
        RESET_BEFORE,
        RESET_AFTER,
        HALF_AN_ANSWER,
        late(60),
    )
    outcomes = [rig.deliver(timeout_seconds=0.6) for _ in range(10)]
    with stand_in.down():
        outcomes.append(rig.deliver())
    assert len(stand_in.calls) >= 9
    shown = repr(outcomes) + caplog.text
    for piece in (rig.secret, rig.secret[-12:], rig.secret[:12]):
        assert piece not in shown


@pytest.mark.parametrize("secret", ["two\nlines", "two words", "ключ"])
def test_a_secret_that_no_request_can_carry_is_refused_at_startup(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv(rig.secret_name, secret)
    with pytest.raises(SecretMissing, match=rig.secret_name) as caught:
        rig.channel()
    assert secret not in str(caught.value)


def test_a_missing_secret_is_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rig.secret_name)
    with pytest.raises(SecretMissing, match=rig.secret_name):
        rig.channel()


# --- Settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unknown", 1),
        ("timeout_seconds", 0),
        ("timeout_seconds", -1),
        ("timeout_seconds", 301),
        ("timeout_seconds", "30"),
        ("timeout_seconds", True),
        ("timeout_seconds", math.nan),
        ("timeout_seconds", math.inf),
        ("token_env", ""),
        ("token_env", "../shadow"),
        ("token_env", "A B"),
        ("base_url", ""),
        ("base_url", "api.example.org"),
        ("base_url", "ftp://api.example.org"),
        ("base_url", "http://"),
        ("base_url", "http://a b"),
        ("base_url", "http://host:99999"),
        ("base_url", "http://xn--a.b"),
        ("base_url", "http://[::1"),
        ("base_url", "http://host/?a=1"),
        ("base_url", "http://host/#a"),
        ("base_url", "http://host\n"),
    ],
)
def test_bad_settings_are_refused_with_the_name_of_the_key(rig: Rig, key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        rig.channel(**{key: value})
    assert {error["loc"] for error in caught.value.errors()} == {(key,)}


@pytest.mark.parametrize("url", ["http://user:hunter2@host", "https://hunter2@host/path"])
def test_a_base_url_with_credentials_is_refused_without_showing_them(rig: Rig, url: str) -> None:
    with pytest.raises(ValidationError, match="must not hold a user or a password") as caught:
        rig.channel(base_url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8081", "https://h/a/b/", "http://[::1]:80"])
def test_a_base_url_may_have_a_port_and_a_path(rig: Rig, url: str) -> None:
    rig.channel(base_url=url)


# --- Links -------------------------------------------------------------------------------------


def link(target: dict[str, Any], reference: str | None, sent_to: str | None = None) -> str | None:
    kind = CHANNELS[target["type"]]
    given = {"base_url": "https://api.example.org", "token_env": "TOKEN"}
    return kind.link(kind.Settings.model_validate(given), target, reference, sent_to)


def test_what_has_no_reference_has_no_link(rig: Rig) -> None:
    assert link(dict(rig.target), None) is None
    assert link(dict(rig.target), "") is None


@pytest.mark.parametrize(
    ("chat_id", "thread", "sent_to", "place"),
    [
        (-1001234567890, None, None, "c/1234567890/5"),
        (-1001234567890, 7, None, "c/1234567890/7/5"),
        ("@duty_moscow", None, None, "duty_moscow/5"),
        ("@duty_moscow", 7, None, "duty_moscow/7/5"),
        (-4001, None, "-1001234567890", "c/1234567890/5"),
        (-1001234567890, None, "-1009876543210", "c/9876543210/5"),
        (-4001, None, None, None),
        (-1001234567, None, None, None),
        (110201543, None, None, None),
    ],
)
def test_a_telegram_message_in_a_supergroup_or_a_public_chat_has_a_link(
    chat_id: int | str, thread: int | None, sent_to: str | None, place: str | None
) -> None:
    target: dict[str, Any] = {"type": "telegram", "chat_id": chat_id}
    if thread is not None:
        target["message_thread_id"] = thread
    assert link(target, "5", sent_to) == (place and f"https://t.me/{place}")
    assert link(target, "not a number", sent_to) is None


# --- Connections -------------------------------------------------------------------------------


def test_a_connection_is_reused_and_closed_once_it_is_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        with RIGS["telegram"]() as rig:
            monkeypatch.setattr("notifier.channels.http.KEEP_ALIVE_SECONDS", PATIENCE_SECONDS)
            async with keeping_server() as (url, made, open_, barrier):
                channel = rig.channel(base_url=url)

                async def deliver(times: int) -> None:
                    message = Message(TOKEN, rig.target, rig.parts)
                    barrier.expect(times)
                    done = await asyncio.gather(*(channel.deliver(message) for _ in range(times)))
                    assert all(isinstance(outcome, Sent) for outcome in done)

                for _ in range(3):
                    await deliver(1)
                assert len(made) == 1
                await deliver(5)
                await deliver(5)
                assert len(made) == len(open_) == 5
                monkeypatch.setattr("notifier.channels.http.KEEP_ALIVE_SECONDS", 0.0)
                await deliver(1)
                await channel.aclose()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while open_:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

    asyncio.run(scenario())


class Signed(Channel):
    """Sends the text of a message as it is, with a header of its own."""

    name = "signed"
    parts = ("text",)
    Settings = ChannelSettings
    Recipient = Recipient
    idempotent = False

    async def _send(self, message: Message) -> Outcome:
        answer = await self._call(
            self._url,
            content=message.parts["text"].encode(),
            headers={"X-Signature": "of these bytes", "Content-Type": "application/json"},
        )
        return Sent("") if answer.is_success else refusal(answer, "")

    def __init__(self, url: str) -> None:
        settings = ChannelSettings(base_url=url, token_env="UNUSED")
        super().__init__(settings, Secrets(), headers={"X-Channel": "signed"})
        self._url = url


def test_bytes_and_headers_of_a_request_arrive_unchanged() -> None:
    text = '{ "b":1,  "a": "\u00e9 ключ" }\n'
    requests: list[tuple[bytes, bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(text.encode()))
        requests.append((head, body))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def scenario() -> Outcome:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            channel = Signed(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            outcome = await channel.deliver(Message(TOKEN, {"type": "signed"}, {"text": text}))
            await channel.aclose()
            return outcome

    assert asyncio.run(scenario()) == Sent("")
    ((head, body),) = requests
    assert body == text.encode()
    lines = head.decode().splitlines()
    for line in ("X-Signature: of these bytes", "X-Channel: signed"):
        assert line in lines
    types = [line for line in lines if line.lower().startswith("content-type:")]
    assert types == ["Content-Type: application/json"]


class Barrier:
    """Holds requests back until the expected number of them has arrived."""

    def expect(self, count: int) -> None:
        self._missing = count
        self._is_complete = asyncio.Event()

    async def wait(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._is_complete.set()
        await self._is_complete.wait()


@asynccontextmanager
async def keeping_server() -> AsyncIterator[tuple[str, list[object], set[object], Barrier]]:
    """A server that answers as Telegram does and keeps its connections: its URL, all connections
    so far, those that are open, and the barrier in front of its answers."""
    made: list[object] = []
    open_: set[object] = set()
    barrier = Barrier()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(writer)
        open_.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                await barrier.wait()
                body = b'{"ok":true,"result":{"message_id":1}}'
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()
        open_.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", made, open_, barrier


# --- A server whose answers never end ----------------------------------------------------------


@contextmanager
def trickling_server(head: str) -> Iterator[str]:
    """Answers one byte at a time without end, so that no single read of the client times out."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + head.encode())
                with suppress(ConnectionError):
                    while not over.wait(0.05):
                        connection.sendall(b"x")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join(PATIENCE_SECONDS)
