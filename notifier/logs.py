"""Logs are events with fields, one line each, and never hold a secret.

2026-11-24T14:05:07+0000 INFO sent token=m1_p1__timeout_in_point channel=telegram reference=17
"""

from __future__ import annotations

import json
import logging
import sys

from notifier.secrets import Secrets

LOGGER = logging.getLogger("notifier")
LEVELS = ("debug", "info", "warning", "error")


def event(level: int, name: str, **fields: object) -> None:
    """Logs an event. Fields that are None are left out."""
    LOGGER.log(level, name, extra={"fields": fields})


class EventFormatter(logging.Formatter):
    """One line: time, level, event, key=value ...; any secret that was given out is blotted out."""

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
    """Sends events of this level and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _value(text: str) -> str:
    plain = text.isprintable() and text and not any(c in text for c in ' "=')
    return text if plain else _printable(json.dumps(text, ensure_ascii=False))


def _printable(text: str) -> str:
    """Whatever could end a line or steer a terminal becomes an escape, as in \\n or \\u2028."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
