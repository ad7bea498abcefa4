"""notifier config, notifier preview."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from notifier import config as configs
from notifier.channels import CHANNELS
from notifier.commands import config_history
from notifier.commands.connection import connected
from notifier.commands.output import complain, say, say_json
from notifier.config import Config, ConfigError
from notifier.database.errors import DatabaseUnusable, reason
from notifier.delivery.setup import renderer_for
from notifier.locales import LOCALES
from notifier.notification_types import (
    DIGEST_TYPE,
    NOTIFICATION_TYPES,
    SILENCED_FACTS,
    TEST_TYPE,
    sample_facts,
    steps_of,
)
from notifier.resources import CONFIG, TEMPLATES
from notifier.text import escaped


async def show() -> int:
    say_json((await _in_force())[1])
    return 0


async def check(file: Path) -> int:
    document = configs.read_json(file)
    await _check_and_warn(document, configs.parse(document))
    say(f"{file}: good")
    return 0


async def apply(
    file: Path, comment: str | None = None, expected_id: int | None = None, *, dry_run: bool = False
) -> int:
    """Puts a file in force. expected_id: only if this config still is; None: only if the one that
    is in force now still is then. dry_run: checks everything, and shows what would change."""
    document = configs.read_json(file)
    config = configs.parse(document)
    expected_id = await _expected(expected_id)
    await _check_and_warn(document, config)
    if dry_run:
        await _dry_run(file, document, config, expected_id)
        return 0
    await _put_in_force(str(file), document, comment, expected_id)
    return 0


async def rollback(config_id: int, comment: str | None, expected_id: int | None) -> int:
    """Applies the document of an earlier config again, as a new config."""
    expected_id = await _expected(expected_id)
    async with connected() as database:
        document = await config_history.document_of(database, config_id)
    await _check_and_warn(document, configs.parse(document))
    name = f"rollback to config {config_id}"
    await _put_in_force(name, document, name if comment is None else comment, expected_id)
    return 0


async def _expected(expected_id: int | None) -> int | None:
    """The config that must still be in force when another one is applied: unless it is given, the
    one that is in force now; None: none is."""
    if expected_id is not None:
        return expected_id
    async with connected() as database:
        in_force = await database.config()
    return None if in_force is None else in_force[0]


async def _dry_run(file: Path, document: Any, config: Config, expected_id: int | None) -> None:
    """What apply_config() would refuse, and what it would change."""
    async with connected() as database:
        checked = await database.check_config(document)
        in_force = await database.config()
        config_id, stored = in_force or (None, None)
        if expected_id not in (None, config_id) and checked != stored:
            others = "none" if config_id is None else f"config {config_id}"
            raise ConfigError([f"--expect: config {expected_id} is not in force: {others} is"])
        if in_force is not None:
            await config_history.say_difference(database, str(file), document, config, "text")
    say(f"{file}: good, and not applied")


async def _put_in_force(
    name: str, document: Any, comment: str | None, expected_id: int | None
) -> None:
    async with connected() as database:
        before = await database.config()
        try:
            config_id = await database.apply_config(document, comment, expected_id)
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            problem = reason(error).replace("expected_config_id:", "--expect:", 1)
            raise ConfigError([problem]) from None
        after = await database.config()
    if before is not None and before[0] == config_id:
        say(f"{name}: already in force as config {config_id}")
        return
    say(f"{name}: in force as config {config_id}")
    if before is not None and after is not None and _jobs(before[1]) != _jobs(after[1]):
        print("What pg_cron runs, or when, has changed: make schedule")


async def _check_and_warn(document: Any, config: Config) -> None:
    """Checks what the database cannot, and prints warnings. Raises ConfigError, TemplateError."""
    _check(config)
    for warning in (*configs.warnings(config), *await _seen_warnings(document)):
        print(f"notifier: warning: {escaped(warning)}", file=sys.stderr)


async def _seen_warnings(document: Any) -> list[str]:
    """Values of matches that no mission had lately. Without a database, the one warning is that
    they were not compared."""
    wanted = configs.wanted_values(document)
    zone_attributes = configs.zone_attributes(document)
    if not wanted and not zone_attributes:
        return []
    try:
        async with connected() as database:
            seen = await database.seen_values(wanted, zone_attributes)
    except (psycopg.Error, DatabaseUnusable):
        return ["no database says which values missions have: those of matches were not compared"]
    return configs.seen_warnings(document, seen)


async def _in_force() -> tuple[int, Any]:
    async with connected() as database:
        in_force = await database.config()
    if in_force is None:
        raise ConfigError(["no config is in force: make config"])
    return in_force


def _check(config: Config) -> None:
    """Checks that every template exists, in each language, and can be rendered with sample facts of
    each step."""
    # The config's own language first: an error names the first template that is broken.
    for locale in dict.fromkeys((config.notifier.locale, *LOCALES)):
        renderer = renderer_for(in_locale(config, locale), TEMPLATES)
        for name, settings in config.channel_settings().items():
            digest = (DIGEST_TYPE,) if settings.digest_above else ()
            for type in (*NOTIFICATION_TYPES, TEST_TYPE, *digest):
                for step in steps_of(type):
                    facts = sample_facts(type, step)
                    renderer.render(type, CHANNELS[name], facts)
                    renderer.render(type, CHANNELS[name], {**facts, **SILENCED_FACTS})


def in_locale(config: Config, locale: str) -> Config:
    settings = config.notifier.model_copy(update={"locale": locale})
    return config.model_copy(update={"notifier": settings})


def _jobs(document: Mapping[str, Mapping[str, object]]) -> tuple[object, ...]:
    """The settings from which sql/cron/schedule.sql makes jobs, in a config with its defaults."""
    retention = document["retention"]
    schedules = document["detection"]["schedule"], retention["schedule"]
    return *schedules, retention["cron_runs_seconds"]


async def _config_for(file: Path | None) -> Config:
    """The config in this file; None: the one in force. Where there is none yet, config.json shows
    what will be."""
    if file is not None:
        return configs.load(file)
    try:
        async with connected() as database:
            in_force = await database.config()
    except (psycopg.OperationalError, DatabaseUnusable):
        in_force = None
    if in_force is not None:
        return configs.parse_stored(in_force[1])
    complain(f"no database with a config in force: {CONFIG} is used")
    return configs.load(CONFIG)


async def preview(options: Namespace) -> int:
    config = await _config_for(options.config)
    if options.locale:
        config = in_locale(config, options.locale)
    facts = sample_facts(options.type, options.step)
    if options.token is not None:
        async with connected() as database:
            notification = await database.notification(options.token)
        if notification is None:
            raise ConfigError([f"no notification {options.token!r}"])
        if notification.type != options.type:
            raise ConfigError([f"{options.token!r} is of type {notification.type}"])
        try:
            facts = {
                **notification.facts(options.step, datetime.now(UTC)),
                "mission_url": config.mission_url(notification.mission_id),
            }
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ConfigError([f"{options.token!r} has unreadable details: {error}"]) from None
    renderer = renderer_for(config, TEMPLATES)
    rendered = {
        name: renderer.render(options.type, CHANNELS[name], facts)
        for name in ([options.channel] if options.channel else CHANNELS)
    }
    if options.output == "json":
        say_json(rendered)
        return 0
    for name, parts in rendered.items():
        for part, text in parts.items():
            say(f"--- {name}.{part}\n{text}\n")
    return 0
