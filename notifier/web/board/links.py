"""Where people read a message or a ticket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from notifier.channels import CHANNELS
from notifier.web.board.answers import Recipient


class Links:
    """Links to messages and tickets, by `channels` of the config in force. A channel that this
    version does not know, or whose settings it cannot read, has none."""

    def __init__(self, channels: Mapping[str, Any]) -> None:
        self.channels = channels
        self._settings = {}
        for name, settings in channels.items():
            if name in CHANNELS and settings is not None:
                try:
                    self._settings[name] = CHANNELS[name].Settings.model_validate(settings)
                except ValidationError:
                    continue

    def link(self, recipient: Recipient) -> str | None:
        """The URL of the message or the ticket; None: it has none."""
        settings = self._settings.get(recipient.channel)
        if settings is None or recipient.reference is None:
            return None
        url = CHANNELS[recipient.channel].link(
            settings, recipient.target, recipient.reference, recipient.sent_to
        )
        return url if url and url.startswith(("https://", "http://")) else None
