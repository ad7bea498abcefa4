"""Logs are events with fields, one line each, without secrets.

2026-11-24T14:05:07+0000 INFO sent token=m1_p1__timeout_in_point channel=telegram reference=17
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from notifier.secrets import Secrets

LOGGER = logging.getLogger("notifier")
LEVELS = ("debug", "info", "warning", "error")
THROTTLE_SECONDS = 60.0


def event(level: int, name: str, **fields: object) -> None:
    """Logs an event, without the fields that are None."""
    LOGGER.log(level, name, extra={"fields": fields})


class ThrottledEvent:
    """An event that outsiders can cause as often as they like. The first one is logged at once.
    After that, one line per minute says how often it has happened since (`count`)."""

    def __init__(self, level: int, name: str) -> None:
        self._level = level
        self._name = name
        self._count = 0
        self._fields: dict[str, object] = {}
        self._is_quiet = False

    def happened(self, **fields: object) -> None:
        """Counts one occurrence. A line has the fields of the latest one."""
        self._count += 1
        self._fields = fields
        if not self._is_quiet:
            self._log()

    def _log(self) -> None:
        self._is_quiet = self._count > 0
        if self._is_quiet:
            event(self._level, self._name, count=self._count, **self._fields)
            self._count = 0
            asyncio.get_running_loop().call_later(THROTTLE_SECONDS, self._log)


class EventFormatter(logging.Formatter):
    """One line: time, level, event, key=value ... with all secrets redacted."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        parts = [_printable(self._secrets.redact(super().format(record)))]
        parts += [
            f"{key}={_value(self._secrets.redact(str(value)))}"
            for key, value in fields.items()
            if value is not None
        ]
        return " ".join(parts)


def configure(level: str, secrets: Secrets) -> None:
    """Logs events of this level and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _value(text: str) -> str:
    plain = text.isprintable() and text and not any(c in text for c in ' "=')
    return text if plain else _printable(json.dumps(text, ensure_ascii=False))


def _printable(text: str) -> str:
    """Escapes every character that could end the line or control a terminal, as \\n or \\u2028."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
