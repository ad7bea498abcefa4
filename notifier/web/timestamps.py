"""Timestamps as callers write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(?::(\d{2})(\.\d+)?)?"
    r"(?:[Zz]|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)",
    re.ASCII,
)


def parse_timestamp(value: Any) -> datetime:
    """A timestamp as RFC 3339 writes it, or as PostgreSQL prints it: 2026-11-24 12:00:00+03. A
    number is refused, even in quotes: whether it means seconds or milliseconds would be a guess.

    Raises ValueError.
    """
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            "must be a date and time with its time zone, such as 2026-11-24T12:00:00+03:00"
        )
    day, minute, second, fraction, hours, minutes = found.groups()
    is_leap_second = second == "60"
    text = f"{day}T{minute}:{'59' if is_leap_second else second or '00'}{(fraction or '')[:7]}"
    zone = f"{hours}:{minutes or '00'}" if hours else "+00:00"
    try:
        timestamp = datetime.fromisoformat(text + zone).astimezone(UTC)
        return timestamp + timedelta(seconds=is_leap_second)
    except (OverflowError, ValueError):
        raise ValueError("is not a date and time that exists") from None
