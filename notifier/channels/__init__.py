"""The channels that exist. A new one is a module, a row here, and its templates."""

from __future__ import annotations

from notifier.channels.base import Channel
from notifier.channels.telegram import Telegram
from notifier.channels.tracker import Tracker

CHANNELS: dict[str, type[Channel]] = {
    "telegram": Telegram,
    "st": Tracker,
}
