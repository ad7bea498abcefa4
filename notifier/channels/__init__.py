"""The registry of channels. docs/development.md has the recipe for a new one."""

from __future__ import annotations

from notifier.channels.base import Channel
from notifier.channels.telegram import Telegram
from notifier.channels.tracker import Tracker

CHANNELS: dict[str, type[Channel]] = {
    "telegram": Telegram,
    "st": Tracker,
}
