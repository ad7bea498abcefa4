"""Each channel with the stand-in for its server, for the tests of channels."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from notifier.channels import CHANNELS
from notifier.channels.base import Channel
from notifier.channels.outcomes import Message, Outcome
from notifier.secrets import Secrets
from sandbox.standins import StandIn, TelegramStandIn, TrackerStandIn

TOKEN = "m1_p1__timeout_in_point"


@dataclass
class Rig:
    """A channel and its server. `accepted` counts the messages that the server has accepted."""

    stand_in: StandIn
    secret_name: str
    secret: str
    target: Mapping[str, Any]
    parts: Mapping[str, str]
    accepted: Callable[[], int]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> type[Channel]:
        return CHANNELS[self.target["type"]]

    def channel(self, **settings: Any) -> Channel:
        given = {
            "base_url": self.stand_in.base_url,
            "token_env": self.secret_name,
            **self.settings,
            **settings,
        }
        return self.kind(self.kind.Settings.model_validate(given), Secrets())

    def deliver(
        self,
        *,
        token: str = TOKEN,
        target: Mapping[str, Any] | None = None,
        parts: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Outcome:
        """Sends one message through a new channel."""
        message = Message(token, target or self.target, parts or self.parts)

        async def once() -> Outcome:
            channel = self.channel(**settings)
            try:
                return await channel.deliver(message)
            finally:
                await channel.aclose()

        return asyncio.run(once())

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the delivery requests that arrived."""
        calls = self.stand_in.calls
        return [call.body for call in calls if call.operation == self.stand_in.delivery]


@contextmanager
def telegram(**options: Any) -> Iterator[Rig]:
    secret = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
    with (
        TelegramStandIn(secret, **options) as stand_in,
        patch.dict(os.environ, TEST_TELEGRAM_TOKEN=secret),
    ):
        yield Rig(
            stand_in=stand_in,
            secret_name="TEST_TELEGRAM_TOKEN",
            secret=secret,
            target={"type": "telegram", "chat_id": -1001},
            parts={"text": "<b>Late</b> at Tverskaya &amp; Co"},
            accepted=lambda: len(stand_in.messages),
        )


@contextmanager
def tracker(**options: Any) -> Iterator[Rig]:
    secret = "y0_AgAAAABVN3SYAADLWwAAAADPb5V3XQ"
    with (
        TrackerStandIn(secret, **options) as stand_in,
        patch("notifier.channels.tracker.LOOKUP_PAUSES_SECONDS", (0.0, 0.01, 0.01)),
        patch.dict(os.environ, TEST_TRACKER_TOKEN=secret),
    ):
        yield Rig(
            stand_in=stand_in,
            secret_name="TEST_TRACKER_TOKEN",
            secret=secret,
            target={"type": "st", "queue": "DUTY"},
            parts={"summary": "Late at a point", "description": "Who, where, since when"},
            accepted=lambda: len(stand_in.tickets),
        )


RIGS = {"telegram": telegram, "st": tracker}
