"""HTTP as channels need it: sending a request once, and what an answer or its absence means."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import math
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from notifier.channels.outcomes import Failed, InDoubt, Misconfigured, Retry

# At INFO httpx logs each request's URL, which holds Telegram's token; at DEBUG httpcore logs each
# answer's headers, which may repeat it.
for _logger in ("httpx", "httpcore"):
    logging.getLogger(_logger).setLevel(logging.WARNING)

ANSWER_LIMIT_BYTES = 1 << 20
KEEP_ALIVE_SECONDS = 5.0
DELAY_LIMIT = timedelta(days=1)


before_request: ContextVar[Callable[[], None] | None] = ContextVar("before_request", default=None)
"""Called directly before a request leaves the process, when the connection is already open. An
exception that it raises stops the request and leaves `Channel.deliver` as it is."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. `body` is the JSON value, or None when it is absent, cut off, longer than
    1 MiB, or not JSON."""

    status: int
    headers: httpx.Headers
    received_at: datetime
    body: Any = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_page(self) -> bool:
        """A web page: it comes from a gateway, proxy or captive portal, not from the API."""
        return self.body is None and self.headers.get("Content-Type", "").startswith("text/html")

    @property
    def is_authenticated(self) -> bool:
        """Whether this answer proves that the API accepted our credentials: it is a JSON object, so
        the API itself wrote it, and its status is one that speaks of this message. Gateways answer
        with the statuses that are left out."""
        is_of_message = self.is_success or (400 <= self.status < 500)
        return is_of_message and self.status not in (401, 407, 408) and isinstance(self.body, dict)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The JSON object; empty when the body is something else."""
        return as_mapping(self.body)

    def reason(self, text: str = "") -> str:
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


def as_mapping(value: Any) -> Mapping[str, Any]:
    """A JSON object as it is; an empty one in place of any other JSON value."""
    return value if isinstance(value, dict) else {}


def seconds(value: Any) -> timedelta | None:
    """A number of seconds that the server named, capped at a day; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    bounded = min(max(value, 0), DELAY_LIMIT.total_seconds())
    return None if math.isnan(bounded) else timedelta(seconds=bounded)


def retry_after(answer: Answer) -> timedelta | None:
    """The Retry-After header, which is a number of seconds or a date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return seconds(float(text))
    try:
        named_at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if named_at.tzinfo is None:
        named_at = named_at.replace(tzinfo=UTC)
    return seconds((named_at - answer.received_at).total_seconds())


def refusal(
    answer: Answer, text: str, delay: timedelta | None = None
) -> Failed | Retry | InDoubt | Misconfigured:
    """What an answer other than success means in any HTTP API.

    `delay` is the wait that the body states, if any; it takes precedence over Retry-After.
    A redirect is never followed: it would carry the token to wherever it points.
    A gateway's own 502 or 504 says that the API's answer was lost; the API may have been asked.
    """
    status = answer.status
    if answer.is_page:
        text = "a web page instead of the API's answer"
    if answer.is_page and status in (502, 504):
        return InDoubt(answer.reason(text))
    if 300 <= status < 400:
        return Misconfigured(answer.reason("a redirect, which is never followed; check base_url"))
    if status in (401, 407) or (status == 404 and answer.is_page):
        return Misconfigured(answer.reason(text))
    if status in (408, 425, 429) or status >= 500 or answer.is_page:
        stated = retry_after(answer) if delay is None else delay
        return Retry(answer.reason(text), stated, answer.is_authenticated)
    return Failed(answer.reason(text), answer.is_authenticated)


_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


def unanswered(error: Exception) -> Retry | InDoubt | Misconfigured:
    """What it means that a request got no answer (facts of httpx 0.28): until the connection is
    open, nothing has been sent; after that the server may have read the request."""
    if isinstance(error, httpx.ProxyError) and str(error).startswith("407"):
        return Misconfigured(f"the proxy refuses us: {error}")
    if isinstance(error, _NOT_SENT):
        return Retry(f"not sent: {error or 'no connection'} ({type(error).__name__})")
    return InDoubt(f"sent, but no answer came ({type(error).__name__})")


class HttpClient:
    """Sends the requests of one channel, on as many connections as it has requests in flight."""

    def __init__(
        self, timeout_seconds: float, headers: Mapping[str, str] | None, proxy: httpx.Proxy | None
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._make_client = functools.partial(
            httpx.AsyncClient,
            headers=headers,
            proxy=proxy,
            verify=_tls(),
            trust_env=False,
            follow_redirects=False,
            # Connecting and the TLS handshake get a third each, so that a request that uses up the
            # whole timeout has been sent.
            timeout=httpx.Timeout(timeout_seconds, connect=timeout_seconds / 3),
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_SECONDS),
        )
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()  # the last used comes last

    async def request(self, method: str, url: str, **request: Any) -> Answer:
        """Sends a request once; `request` holds httpx's json, content, params and headers. Once the
        status is known there is an answer, even if its body breaks off.

        Raises httpx.HTTPError, httpx.InvalidURL or TimeoutError when there is no answer.
        """
        answer: Answer | None = None
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client() as client,
                client.stream(method, url, extensions={"trace": _trace}, **request) as response,
            ):
                answer = Answer(response.status_code, response.headers, datetime.now(UTC))
                answer = replace(answer, body=await _read_json(response))
        except (httpx.HTTPError, TimeoutError):
            if answer is None:
                raise
        return answer

    async def aclose(self) -> None:
        """Closes the idle connections."""
        await self._close_idle(math.inf)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that no other request uses meanwhile, so that it never has more than one
        connection. httpx's pool looks at all of its connections several times for each request;
        with a hundred of them that takes far longer than the request itself."""
        client = self._idle.pop()[1] if self._idle else self._make_client()
        try:
            yield client
        finally:
            now = time.monotonic()
            self._idle.append((now, client))
            await self._close_idle(now - KEEP_ALIVE_SECONDS)

    async def _close_idle(self, since: float) -> None:
        while self._idle and self._idle[0][0] < since:
            await self._idle.popleft()[1].aclose()


async def _trace(event: str, _: Mapping[str, Any]) -> None:
    """httpcore reports each step of a request to this function. The first that sends anything is
    http11.send_request_headers.started."""
    call = before_request.get()
    if call is not None and event.endswith(".send_request_headers.started"):
        call()


async def _read_json(response: httpx.Response) -> Any:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > ANSWER_LIMIT_BYTES:
            return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


@functools.cache
def _tls() -> ssl.SSLContext:
    """One TLS context for all channels: reading the certificates takes tens of milliseconds."""
    return httpx.create_ssl_context(trust_env=False)
