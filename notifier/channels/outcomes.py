"""What every channel is: a message goes in, an outcome comes out.

An outcome says whether trying again helps, and when:

    Outcome
    ├── Sent           the far end has it
    ├── Failed         refused for good: trying again cannot help
    ├── Retry          certainly not delivered, or safe to repeat: try again later
    ├── InDoubt        it may or may not have been delivered, and nothing can tell
    ├── Misconfigured  the channel itself is refused (a revoked token, say), not this message
    └── Blocked        there is no message yet: a person must mend its template, say

This module holds what is the same for all: how a request is made, what a broken connection and an
HTTP status mean in general, and how a reason is written. A channel adds only what is its own.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import math
import re
import ssl
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, ClassVar, TypeAlias

import httpx
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from notifier.secrets import Secrets
from notifier.text import one_line

# At INFO httpx logs the URL of each request, which holds Telegram's token; at DEBUG httpcore logs
# the headers of each answer, which may repeat it.
for _logger in ("httpx", "httpcore"):
    logging.getLogger(_logger).setLevel(logging.WARNING)

ANSWER_LIMIT_BYTES = 1 << 20
KEEP_ALIVE_SECONDS = 5.0
REASON_LIMIT = 200
DELAY_LIMIT = timedelta(days=1)


before_request: ContextVar[Callable[[], None] | None] = ContextVar("before_request", default=None)
"""What is to be called directly before a request leaves the process: the connection is there by
then. What it raises keeps the request back, and comes out of `Channel.deliver`."""


# --- Messages and outcomes ---------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """One notification for one recipient.

    key     idempotency key of this delivery: no other recipient and no other step has the same
    target  the recipient as the routes named it, e.g. {"type": "telegram", "chat_id": -1001}
    parts   the rendered template parts by name, one for each of the channel's `parts`
    """

    key: str
    target: Mapping[str, Any]
    parts: Mapping[str, str]


@dataclass(frozen=True)
class Sent:
    """The far end has it. `reference` is the message's id or the ticket's key; `moved_to` is the
    target's new form when the far end said that the old one is no longer valid."""

    reference: str
    moved_to: Mapping[str, Any] | None = None


# An outcome with is_authenticated comes from an answer of the API itself, which proves that it
# accepted our credentials. It says nothing of the message: outcomes that differ in it are equal.


@dataclass(frozen=True)
class Failed:
    """Refused for good: trying again cannot help."""

    reason: str
    is_authenticated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Retry:
    """Certainly not delivered, or safe to repeat. `delay` is what the far end asked for."""

    reason: str
    delay: timedelta | None = None
    is_authenticated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class InDoubt:
    """The far end may have it, and the channel has no means to find out."""

    reason: str


@dataclass(frozen=True)
class Misconfigured:
    """The channel itself is refused: it can send nothing until somebody mends it. The message is
    not to blame."""

    reason: str


@dataclass(frozen=True)
class Blocked:
    """No message can be made of it until a person mends something: a template, or a program that is
    older than the database. Nothing was tried."""

    reason: str


Outcome: TypeAlias = Sent | Failed | Retry | InDoubt | Misconfigured | Blocked


# --- Configuration -----------------------------------------------------------------------------
# Patterns are plain enough to mean the same to Python, Rust (pydantic) and PostgreSQL.


class Strict(BaseModel):
    """A model that takes exactly what it names, and never shows a refused value in an error."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [
        f"({_GROUP}:){{7}}{_GROUP}",
        f"({_GROUP}:){{1,7}}:",
        *(f"({_GROUP}:){{1,{7 - n}}}(:{_GROUP}){{1,{n}}}" for n in range(1, 7)),
        f":((:{_GROUP}){{1,7}}|:)",
    ]
)
# A label that begins with a letter has no "--" in third and fourth place: httpx decodes xn--, and
# fails where that decodes to nothing. The last label has a letter: 1.2.3 is not an address.
_LABEL = "[A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?"
_NAME = (
    rf"(({_LABEL}|[0-9_-][A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+\.)*[0-9_-]*[A-Za-z][A-Za-z0-9_-]*"
    rf"|{_LABEL}|[0-9_-]+[A-Za-z][A-Za-z0-9_-]*)\.?"
)
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HOST_AND_PORT = rf"({_OCTET}(\.{_OCTET}){{3}}|\[({_IPV6})\]|{_NAME})(:{_PORT})?"
"""Pattern of what comes between the slashes of a URL: a name or an address, perhaps a port."""


def without_user(url: Any) -> Any:
    """Says clearly what the pattern of a URL refuses as well: a user or a password in it, because
    configuration never holds a secret."""
    if isinstance(url, str) and re.match(r"[^/?#]*//[^/?#]*@", url):
        raise ValueError("must not hold a user or a password: name a secret for them instead")
    return url


SecretName: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^([A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]{0,39}|[A-Za-z_]+[0-9]*)$",
        max_length=128,
        description="The name of the environment variable, or of the file in"
        " $CREDENTIALS_DIRECTORY, that holds the secret: letters, digits and _, such as"
        " TELEGRAM_BOT_TOKEN. What mixes digits with letters of both cases, or with many small"
        " ones, is taken for the secret itself.",
    ),
]

HttpUrl: TypeAlias = Annotated[
    str,
    Field(
        pattern=rf"^https?://{HOST_AND_PORT}(/[A-Za-z0-9._~%/-]*)?$",
        max_length=2048,
        description="An http:// or https:// URL in ASCII: a host, perhaps a port and a path.",
    ),
    BeforeValidator(without_user),
]


class Rate(Strict):
    """At most so many messages in any stretch of so many seconds."""

    messages: int = Field(ge=1, le=1000)
    seconds: float = Field(gt=0, le=86400)


class Limits(Strict):
    """How much a channel may be sent, by all notifiers together. An empty list: no limit."""

    per_channel: list[Rate] = Field(default=[], description="For all that it is sent.")
    per_target: list[Rate] = Field(default=[], description="For each chat or queue.")
    in_flight_per_target: int | None = Field(
        default=10,
        ge=1,
        le=10000,
        description="How many messages may be on their way to one chat or queue at once, so that a"
        " slow one leaves room for the others; null: no limit.",
    )


class ChannelSettings(Strict):
    """Settings that every channel has."""

    limits: Limits | None = Field(
        default=Limits(), description="How much may be sent, and how fast; null: no limit."
    )

    base_url: HttpUrl
    timeout_seconds: float = Field(
        default=30,
        gt=0,
        le=300,
        description="The longest that one request may take, from connecting to the end of the"
        " answer. Too short makes doubtful deliveries.",
    )

    @property
    def root(self) -> str:
        """base_url without a slash at its end."""
        return self.base_url.rstrip("/")


class Recipient(Strict):
    """Whom a route names. A channel narrows `type` to its own name and adds its fields."""

    type: str


_SettingsType: TypeAlias = type[ChannelSettings]
_RecipientType: TypeAlias = type[Recipient]


# --- Answers -----------------------------------------------------------------------------------


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
        """A web page: a gateway, proxy or captive portal speaks, not the API."""
        return self.body is None and self.headers.get("Content-Type", "").startswith("text/html")

    @property
    def is_authenticated(self) -> bool:
        """Whether it proves that the API accepted our credentials: the API itself speaks, whose
        answers are JSON objects, of this message. A gateway's errors have those statuses that are
        left out."""
        is_of_message = self.is_success or (400 <= self.status < 500)
        return is_of_message and self.status not in (401, 407, 408) and isinstance(self.body, dict)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The JSON object, empty when the body is none."""
        return as_mapping(self.body)

    def reason(self, text: str = "") -> str:
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


def as_mapping(value: Any) -> Mapping[str, Any]:
    """A JSON value as an object; anything that is none counts as an empty one."""
    return value if isinstance(value, dict) else {}


def seconds(value: Any) -> timedelta | None:
    """A number of seconds that the far end named, at most a day; None when it is no such number."""
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
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return seconds((moment - answer.received_at).total_seconds())


def refusal(
    answer: Answer, text: str, delay: timedelta | None = None
) -> Failed | Retry | InDoubt | Misconfigured:
    """What an answer other than success means in any HTTP API.

    `delay` is the wait that the body states, if it does; the Retry-After header comes second.
    A redirect is never followed: it would carry the token to wherever it points.
    A gateway's own 502 or 504 says that the API's answer was lost, and not that the API was never
    asked.
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
    """What it means that a request got no answer (facts of httpx 0.28): up to the connection's
    making nothing has been sent; from then on the far end may have read the request."""
    if isinstance(error, httpx.ProxyError) and str(error).startswith("407"):
        return Misconfigured(f"the proxy refuses us: {error}")
    if isinstance(error, _NOT_SENT):
        return Retry(f"not sent: {error or 'no connection'} ({type(error).__name__})")
    return InDoubt(f"sent, but no answer came ({type(error).__name__})")


# --- Channels ----------------------------------------------------------------------------------


class Channel(ABC):
    """A way to reach people. A subclass names its models and says how one message is sent."""

    name: ClassVar[str]
    """The `type` of its recipients and its key under `channels` in the configuration."""
    parts: ClassVar[tuple[str, ...]]
    """The template parts of which a message consists."""
    html_parts: ClassVar[frozenset[str]] = frozenset()
    """Those parts that the far end reads as HTML: facts are escaped in them."""
    Settings: ClassVar[_SettingsType]
    Recipient: ClassVar[_RecipientType]
    idempotent: ClassVar[bool]
    """True when the far end knows a message by its token, so that repeating it is harmless."""

    def __init__(
        self,
        settings: ChannelSettings,
        secrets: Secrets,
        *,
        headers: Mapping[str, str] | None = None,
        proxy: httpx.Proxy | None = None,
    ) -> None:
        self._timeout_seconds = settings.timeout_seconds
        self._secrets = secrets
        self._make_client = functools.partial(
            httpx.AsyncClient,
            headers=headers,
            proxy=proxy,
            verify=_tls(),
            trust_env=False,
            follow_redirects=False,
            # Connecting and the TLS handshake have a third each, so that running out of the whole
            # time means that the request has gone out.
            timeout=httpx.Timeout(self._timeout_seconds, connect=self._timeout_seconds / 3),
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_SECONDS),
        )
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()  # the last used comes last

    async def deliver(self, message: Message) -> Outcome:
        """Sends the message once. Never raises for what the network or the far end does; reasons
        are one short line without secrets."""
        try:
            outcome = await self._send(message)
        except ValidationError as error:
            outcome = Failed(f"not a recipient of {self.name}: {_first_error(error)}")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            outcome = unanswered(error)
        if isinstance(outcome, Sent):
            return replace(outcome, reference=self._presentable(outcome.reference))
        if isinstance(outcome, InDoubt) and self.idempotent:
            outcome = Retry(outcome.reason)
        return replace(outcome, reason=self._presentable(outcome.reason))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._close_idle(math.inf)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that nobody else uses meanwhile, so that it never has more than one connection:
        at each request httpx's pool looks at all of its connections several times over, and with
        a hundred of them that takes far longer than the request."""
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

    @abstractmethod
    async def _send(self, message: Message) -> Outcome:
        """Sends the message. May raise pydantic's ValidationError for a bad target, and whatever
        `_call` raises."""

    async def _call(
        self,
        url: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: dict[str, str] | None = None,
    ) -> Answer:
        """POSTs once. Once the status is known there is an answer, even if its body breaks off.

        Raises httpx.HTTPError, httpx.InvalidURL or TimeoutError when there is no answer.
        """
        answer: Answer | None = None
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._client() as client,
                client.stream(
                    "POST", url, json=json, params=params, extensions={"trace": _trace}
                ) as response,
            ):
                answer = Answer(response.status_code, response.headers, datetime.now(UTC))
                answer = replace(answer, body=await _read_json(response))
        except (httpx.HTTPError, TimeoutError):
            if answer is None:
                raise
        return answer

    def _presentable(self, text: str) -> str:
        text = one_line(self._secrets.redact(text))
        return text if len(text) <= REASON_LIMIT else text[: REASON_LIMIT - 1] + "…"


async def _trace(event: str, _: Mapping[str, Any]) -> None:
    """httpcore tells of each step: http11.send_request_headers.started is the first to send."""
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


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(step) for step in first["loc"])
    return f"{path}: {first['msg']}" if path else first["msg"]


@functools.cache
def _tls() -> ssl.SSLContext:
    """One TLS context for all channels: reading the certificates takes tens of milliseconds."""
    return httpx.create_ssl_context(trust_env=False)
