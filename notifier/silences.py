"""What people write and read of silences: matches as key=value, durations as 2h."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from notifier.config import YEAR_SECONDS
from notifier.database.values import Silence
from notifier.test_message import EVENT_FACTS, pair_of, value_of

UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_PART: Final = r"(\d{1,9}(?:\.\d{1,6})?)(min|[dhms])"


def line_of(silence: Silence) -> str:
    """until 2026-11-26 16:00 UTC by ops: planned works (city=Omsk; 3 alerts held)"""
    if silence.is_active:
        period = f"until {_clock(silence.ends_at)}"
        count = f"{counted(silence.alerts_held, 'alert')} held"
    else:
        period = f"over since {_clock(silence.ended_at or silence.ends_at)}"
        period += f" (ended by {silence.ended_by})" if silence.ended_by else ""
        was = "was" if silence.alerts_total == 1 else "were"
        count = f"{counted(silence.alerts_total, 'alert')} {was} held"
    shown = " ".join(words_of(silence.match))
    comment = " ".join(silence.comment.split())
    return f"{period} by {silence.created_by}: {comment} ({shown}; {count})"


def counted(count: int, noun: str) -> str:
    """1 alert, 2 alerts"""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def match_of(words: Sequence[str]) -> dict[str, Any]:
    """["city=Omsk", "type=job_skipped"] as a match; a key that is repeated gets a list. An
    attribute that is JSON's true, false or a number is read as such; '"7"' is a text.

    Raises ConfigError.
    """
    match: dict[str, Any] = {}
    for word in words:
        key, text = pair_of(word)
        value = text if key in (*EVENT_FACTS, "at") else value_of(text)
        if key in match:
            earlier = match[key] if isinstance(match[key], list) else [match[key]]
            match[key] = [*earlier, value]
        else:
            match[key] = value
    return match


def words_of(match: Mapping[str, Any]) -> list[str]:
    """A match as the words that match_of() reads."""
    return [
        f"{key}={_text_of(key, value)}"
        for key, choices in match.items()
        for value in (choices if isinstance(choices, list) else [choices])
    ]


def _text_of(key: str, value: Any) -> str:
    if isinstance(value, str) and (key in (*EVENT_FACTS, "at") or value_of(value) == value):
        return value
    return json.dumps(value, ensure_ascii=False)


def duration_of(text: str) -> timedelta:
    """90m, 2h, 3d, 1h30m: at most a year.

    Raises ValueError.
    """
    if not re.fullmatch(f"(?:{_PART})+", text, re.ASCII):
        raise ValueError("must be a duration such as 90m, 2h, 3d or 1h30m")
    seconds = sum(float(count) * UNITS[unit] for count, unit in re.findall(_PART, text, re.ASCII))
    if not 0 < seconds <= YEAR_SECONDS:
        raise ValueError("must be more than 0 and at most a year")
    return timedelta(seconds=seconds)


def _clock(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
