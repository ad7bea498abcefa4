"""What every channel is: a message goes in, an outcome comes out.

The protocol is below; the outcomes, the models of the config, and what HTTP answers mean in general
are in the modules beside it. A new channel can import all of them from here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeAlias

import httpx
from pydantic import ValidationError

from notifier.channels.http import (
    Answer,
    HttpClient,
    as_mapping,
    before_request,
    refusal,
    seconds,
    unanswered,
)
from notifier.channels.outcomes import (
    Blocked,
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
from notifier.channels.settings import (
    HOST_AND_PORT,
    ChannelSettings,
    Limits,
    Rate,
    Recipient,
    SecretName,
    Strict,
    without_user,
)
from notifier.secrets import Secrets
from notifier.steps import FOLLOW_UPS
from notifier.text import one_line

__all__ = [
    "HOST_AND_PORT",
    "Answer",
    "Blocked",
    "Button",
    "Channel",
    "ChannelSettings",
    "Earlier",
    "Failed",
    "InDoubt",
    "Limits",
    "Message",
    "Misconfigured",
    "Outcome",
    "Rate",
    "Recipient",
    "Retry",
    "SecretName",
    "Secrets",
    "Sent",
    "Strict",
    "as_mapping",
    "before_request",
    "refusal",
    "seconds",
    "without_user",
]

REASON_LIMIT = 200
"""The most characters of a reason that are kept."""

_SettingsType: TypeAlias = type[ChannelSettings]
_RecipientType: TypeAlias = type[Recipient]


class Channel(ABC):
    """A way to reach people. A subclass names its models and says how to send one message."""

    name: ClassVar[str]
    """The `type` of its recipients, and its key under `channels` in the config."""
    parts: ClassVar[tuple[str, ...]]
    """The template parts that make up a message."""
    follow_up_parts: ClassVar[tuple[str, ...]] = ()
    """The template parts of what is said about an earlier message; empty: the same as `parts`."""
    html_parts: ClassVar[frozenset[str]] = frozenset()
    """The parts that the server reads as HTML: facts are escaped in them."""
    Settings: ClassVar[_SettingsType]
    Recipient: ClassVar[_RecipientType]
    idempotent: ClassVar[bool]
    """True when the server recognizes a message by its key, so that repeating it is harmless."""

    def __init__(
        self,
        settings: ChannelSettings,
        secrets: Secrets,
        *,
        headers: Mapping[str, str] | None = None,
        proxy: httpx.Proxy | None = None,
    ) -> None:
        """`headers` are sent with every request."""
        self._secrets = secrets
        self._http = HttpClient(settings.timeout_seconds, headers, proxy)

    @classmethod
    def parts_of(cls, step: str) -> tuple[str, ...]:
        """The template parts of a step, one of notifier.steps.STEPS."""
        return cls.follow_up_parts or cls.parts if step in FOLLOW_UPS else cls.parts

    @classmethod
    def link(
        cls,
        settings: ChannelSettings,
        target: Mapping[str, Any],
        reference: str | None,
        sent_to: str | None,
    ) -> str | None:
        """Where people read a message that was sent: a web address; None if it has none.

        reference  as `Sent` reported it
        sent_to    the chat that has the message; None: the target's own
        """
        return None

    def changes_earlier(self, step: str) -> bool:
        """Whether this step, one of notifier.steps.STEPS, changes the earlier message itself, which
        may be repeated."""
        return False

    async def deliver(self, message: Message) -> Outcome:
        """Sends the message once. Never raises for what the network or the server does. A reason is
        one short line without secrets."""
        try:
            if message.earlier is None:
                outcome = await self._send(message)
            else:
                outcome = await self._follow_up(message, message.earlier)
        except ValidationError as error:
            outcome = Failed(f"not a recipient of {self.name}: {_first_error(error)}")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            outcome = unanswered(error)
        if isinstance(outcome, Sent):
            return replace(outcome, reference=self._presentable(outcome.reference))
        if isinstance(outcome, InDoubt) and self.idempotent:
            outcome = Retry(outcome.reason, is_in_doubt=True)
        return replace(outcome, reason=self._presentable(outcome.reason))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    @abstractmethod
    async def _send(self, message: Message) -> Outcome:
        """Sends the message. May raise pydantic's ValidationError for a bad target, and whatever
        `_call` raises."""

    async def _follow_up(self, message: Message, earlier: Earlier) -> Outcome:
        """Changes or answers an earlier message. A channel that can do neither sends a new one.
        May raise what `_send` may."""
        return await self._send(message)

    async def _call(
        self,
        url: str,
        *,
        method: Literal["GET", "POST"] = "POST",
        json: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends a request once: `json` as a JSON document, or `content` byte for byte, so that a
        signature in `headers` covers exactly what is sent. `headers` are added to those of the
        channel.

        Raises httpx.HTTPError, httpx.InvalidURL or TimeoutError when there is no answer.
        """
        return await self._http.request(
            method, url, json=json, content=content, params=params, headers=headers
        )

    def _presentable(self, text: str) -> str:
        text = one_line(self._secrets.redact(text))
        return text if len(text) <= REASON_LIMIT else text[: REASON_LIMIT - 1] + "…"


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(step) for step in first["loc"])
    return f"{path}: {first['msg']}" if path else first["msg"]
