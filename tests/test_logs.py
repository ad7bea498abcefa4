"""Logs are events with fields, one line each, without secrets."""

from __future__ import annotations

import asyncio
import io
import logging
import re
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier import logs
from notifier.logs import EventFormatter, ThrottledEvent, event
from notifier.secrets import Secrets

SECRET = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Secrets from which somebody got SECRET."""
    made = Secrets()
    monkeypatch.setenv("A_SECRET", SECRET)
    made.get("A_SECRET")
    return made


def line(secrets: Secrets, name: str, **fields: object) -> str:
    """The event as a log line."""
    record = logging.LogRecord("notifier", logging.INFO, "", 0, name, None, None)
    record.fields = fields
    return EventFormatter(secrets).format(record)


def test_an_event_is_a_line_of_time_level_name_and_fields() -> None:
    written = line(Secrets(), "sent", token="m1_p1__timeout_in_point", channel="st", attempt=2)
    assert re.fullmatch(
        f"{STAMP} INFO sent token=m1_p1__timeout_in_point channel=st attempt=2", written
    )


def test_fields_that_are_none_are_left_out_and_empty_ones_are_shown() -> None:
    assert line(Secrets(), "sent", reference=None, reason="", count=0).endswith(
        ' INFO sent reason="" count=0'
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("Привет", "Привет"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("two\nlines", r'"two\nlines"'),
        ("tab\there", r'"tab\there"'),
        ("две\nстроки", r'"две\nстроки"'),
        ("carriage\rreturn", r'"carriage\rreturn"'),
        ("next\x85line", r'"next\u0085line"'),
        ("line\u2028separator", r'"line\u2028separator"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        ("\x9b31mred", r'"\u009b31mred"'),
        ("right\u202eto left", r'"right\u202eto left"'),
    ],
)
def test_a_value_is_quoted_only_if_it_must_be(value: str, written: str) -> None:
    assert line(Secrets(), "failed", reason=value).endswith(f" failed reason={written}")


@given(value=st.text())
def test_no_value_can_forge_a_line_or_a_field(value: str) -> None:
    written = line(Secrets(), "failed", reason=value, channel="st")
    assert written.isprintable()
    assert len(written.splitlines()) == 1
    assert re.fullmatch(
        rf'{STAMP} INFO failed reason=("([^"\\]|\\.)*"|[^ "=]+) channel=st', written
    )


def test_a_librarys_message_is_one_line_too() -> None:
    record = logging.LogRecord(
        "asyncio", logging.ERROR, "", 0, "Task failed\n2026 INFO sent", None, None
    )
    try:
        raise ValueError("first\r\nsecond\u2028third")
    except ValueError:
        record.exc_info = sys.exc_info()
    written = EventFormatter(Secrets()).format(record)
    assert len(written.splitlines()) == 1
    assert "ValueError: first" in written


@pytest.mark.parametrize(
    "text", [SECRET, f"/bot{SECRET}/sendMessage", f"two words {SECRET}", f"broken\n{SECRET}"]
)
def test_a_secret_in_use_is_redacted(secrets: Secrets, text: str) -> None:
    written = line(secrets, f"said {text}", reason=text, error=ValueError(text))
    assert SECRET not in written
    assert written.count("***") == 3


@pytest.mark.parametrize("secret", ['pass"word', "pass\\word", "user:p=ss"])
def test_a_secret_is_redacted_even_if_quoting_would_change_it(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("A_SECRET", secret)
    secrets = Secrets()
    secrets.get("A_SECRET")
    assert line(secrets, "failed", reason=f"refused: {secret}").endswith(
        ' failed reason="refused: ***"'
    )


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.mark.usefixtures("_logging_as_before")
def test_events_of_the_level_and_above_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, secrets: Secrets
) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    logs.configure("warning", secrets)
    event(logging.INFO, "sent", token="m1")
    event(logging.WARNING, "retrying", reason=SECRET)
    logging.getLogger("another").error("shown: %s", SECRET)
    first, second = errors.getvalue().splitlines()
    assert first.endswith(" WARNING retrying reason=***")
    assert second.endswith(" ERROR shown: ***")


def test_an_event_that_outsiders_cause_is_logged_at_once_and_then_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    timers: list[Callable[[], None]] = []

    async def play() -> None:
        monkeypatch.setattr(
            asyncio.get_running_loop(),
            "call_later",
            lambda seconds, call: timers.append(call) if seconds == logs.THROTTLE_SECONDS else None,
        )
        refused = ThrottledEvent(logging.WARNING, "refused")
        for number in range(1, 4):
            refused.happened(number=number)
        assert said() == [{"count": 1, "number": 1}]
        timers.pop()()
        assert said() == [{"count": 1, "number": 1}, {"count": 2, "number": 3}]
        timers.pop()()
        assert len(said()) == 2, "nothing has happened since"
        assert timers == []
        refused.happened(number=4)
        assert said()[2:] == [{"count": 1, "number": 4}]

    def said() -> list[dict[str, object]]:
        return [record.__dict__["fields"] for record in caplog.records if record.msg == "refused"]

    asyncio.run(play())
