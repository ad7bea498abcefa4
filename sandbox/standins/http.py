"""An HTTP request as it arrived, and an HTTP answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message as Headers
from typing import Any


@dataclass(frozen=True)
class Call:
    """A request as it arrived. `content` is its body, byte for byte; `body` is its JSON value, or
    None when it is not JSON."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Headers
    body: Any
    content: bytes = b""


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    content_type = {"Content-Type": "application/json; charset=utf-8"}
    return Reply(status, json.dumps(value).encode(), {**content_type, **(headers or {})})
