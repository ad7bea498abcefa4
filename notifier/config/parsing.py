"""Turns a JSON document into a Config."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from notifier.channels.settings import Recipient
from notifier.config.json_document import read_json, unstorable
from notifier.config.levels import level_problems
from notifier.config.matches import match_problems
from notifier.config.models import Config
from notifier.config.problems import ConfigError, problem


def load(path: Path) -> Config:
    """The config in a file. Raises ConfigError."""
    return parse(read_json(path))


def parse(document: Any) -> Config:
    """The config in a JSON document.

    Raises ConfigError with the path of each bad key, but not its value, which may be a secret in
    the wrong place.
    """
    if problems := [*unstorable(document)]:
        raise ConfigError(problems)
    config = parse_stored(document)
    if problems := [*match_problems(config), *level_problems(config)]:
        raise ConfigError(problems)
    return config


def parse_stored(document: Any) -> Config:
    """The config in a document that the database has accepted. Raises ConfigError.

    Another version may have applied it, so its routes may name notification types that this
    version does not know.
    """
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError([problem(details) for details in error.errors()]) from None
    configured = config.channel_settings()
    problems = [
        f"{path}.type: channel {recipient.type!r} is not configured under channels"
        for path, recipient in _recipients(config)
        if recipient.type not in configured
    ]
    if problems:
        raise ConfigError(problems)
    return config


def _recipients(config: Config) -> Iterator[tuple[str, Recipient]]:
    """Every recipient that a route or one of its levels names, with its path."""
    for r, route in enumerate(config.routes):
        for n, recipient in enumerate(route.recipients):
            yield f"routes[{r}].recipients[{n}]", recipient
        for m, level in enumerate(route.escalate):
            for n, recipient in enumerate(level.recipients):
                yield f"routes[{r}].escalate[{m}].recipients[{n}]", recipient
