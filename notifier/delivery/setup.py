"""What follows from a config: channels, connected to their servers when needed, and templates."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from logging import ERROR, INFO
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from notifier import config as configs
from notifier.channels import CHANNELS
from notifier.channels.base import Channel
from notifier.channels.outcomes import Button
from notifier.config import Config, ConfigError, RetryPolicy
from notifier.database.values import Delivery
from notifier.locales import LOCALES
from notifier.logs import event
from notifier.notification_types import TEST_TYPE
from notifier.secrets import SecretMissing, Secrets
from notifier.templates import Renderer, TemplateError


@dataclass(frozen=True)
class Setup:
    """One config, ready for use."""

    config_id: int
    config: Config
    channels: dict[str, Channel]
    renderer: Renderer

    @classmethod
    def make(cls, config_id: int, document: object, templates_dir: Path, secrets: Secrets) -> Self:
        """Raises ConfigError, SecretMissing or TemplateError if the config cannot be used."""
        config = configs.parse_stored(document)
        renderer = renderer_for(config, templates_dir)
        renderer.preload()
        channels = {
            name: CHANNELS[name](settings, secrets)
            for name, settings in config.channel_settings().items()
        }
        return cls(config_id, config, channels, renderer)

    async def close(self) -> None:
        for channel in self.channels.values():
            await channel.aclose()

    @property
    def sends_per_channel(self) -> int:
        """How many sends of one channel may be in flight."""
        return self.config.notifier.batch_size

    @property
    def poll_seconds(self) -> float:
        return self.config.notifier.poll_seconds

    @property
    def lease_seconds(self) -> float:
        return self.config.notifier.lease_seconds

    @property
    def retry(self) -> RetryPolicy:
        return self.config.notifier.retry

    @property
    def follow_ups_per_channel(self) -> int:
        """How many of them may change or answer earlier messages, so that alerts find room."""
        return max(self.sends_per_channel // 2, 1)

    @cached_property
    def digest_channels(self) -> list[str]:
        """The channels for which there are templates of digests. The database decides where to make
        some; one that may have been sent is sent again even if config wants none any more."""
        return [name for name in self.channels if not self.renderer.missing((), [CHANNELS[name]])]

    def button(self, delivery: Delivery) -> Button | None:
        """The button of a message by which somebody can acknowledge the notification; a digest has
        none."""
        settings = self.config.channel_settings()[delivery.channel]
        has_button = getattr(settings, "buttons", False) and delivery.is_open
        if delivery.digest is not None:
            return None
        if not has_button or delivery.button is None or delivery.type == TEST_TYPE:
            return None
        return Button(LOCALES[self.config.notifier.locale].acknowledge, delivery.button)

    def in_doubt(self, channel: str) -> Literal["resend", "hold"]:
        """What to do with a doubtful send. An idempotent channel may simply repeat it."""
        settings = self.config.channel_settings()[channel]
        is_held = getattr(settings, "in_doubt", "resend") == "hold"
        return "hold" if is_held and not CHANNELS[channel].idempotent else "resend"


def renderer_for(config: Config, templates_dir: Path) -> Renderer:
    """The templates in the config's language and time zone.

    Raises ConfigError naming each template that a configured channel lacks.
    """
    renderer = Renderer(templates_dir, config.notifier.locale, ZoneInfo(config.notifier.time_zone))
    channels = config.channel_settings()
    missing = renderer.missing(
        [CHANNELS[name] for name in channels],
        [CHANNELS[name] for name, settings in channels.items() if settings.digest_above],
    )
    if missing:
        raise ConfigError([f"notifier.locale: no template {path}" for path in missing])
    return renderer


class ActiveSetup:
    """The setup of the config in force. While that config is unusable: the previous setup."""

    def __init__(
        self, config_id: int, document: object, templates_dir: Path, secrets: Secrets
    ) -> None:
        """Raises ConfigError, SecretMissing or TemplateError if the config cannot be used."""
        self.current = Setup.make(config_id, document, templates_dir, secrets)
        self._templates_dir = templates_dir
        self._secrets = secrets
        self._refused_config_id: int | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    def is_new(self, config_id: int | None) -> bool:
        """Whether the config in force has not been tried yet."""
        return config_id not in (self.current.config_id, self._refused_config_id)

    def follow(
        self, config_id: int, document: object, sends: Collection[asyncio.Task[object]]
    ) -> None:
        """Makes this config's setup the current one. The channels of the previous setup close after
        the last of `sends`. An unusable config is logged, and the previous one stays active."""
        try:
            setup = Setup.make(config_id, document, self._templates_dir, self._secrets)
        except (ConfigError, SecretMissing, TemplateError) as error:
            self._refused_config_id = config_id
            event(ERROR, "config_refused", config_id=config_id, reason=error)
            return
        event(INFO, "config_followed", config_id=setup.config_id)
        retiring = asyncio.create_task(_retire(self.current, sends))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        self.current = setup

    async def close(self) -> None:
        await asyncio.gather(*self._retiring, return_exceptions=True)
        await self.current.close()


async def _retire(setup: Setup, sends: Collection[asyncio.Task[object]]) -> None:
    if sends:
        await asyncio.wait(sends)
    await setup.close()
