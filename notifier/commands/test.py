"""notifier test."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from notifier import config as configs
from notifier import test_message
from notifier.commands.connection import connected
from notifier.commands.daemon import until_signalled
from notifier.commands.output import complain, say, say_json
from notifier.config import ConfigError
from notifier.database.errors import DatabaseUnusable
from notifier.database.statements import Database
from notifier.resources import CONFIG, TEMPLATES
from notifier.secrets import Secrets


async def run(options: Namespace, secrets: Secrets) -> int:
    if options.direct:
        config = configs.load(options.config or CONFIG)
        if options.all:
            document = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
            targets = test_message.named_by(document["routes"])
        else:
            targets = [test_message.recipient(options.words[0], options.words[1:])]
        arrivals = await test_message.directly(config, TEMPLATES, secrets, targets)
    else:
        arrivals = await _test_through_queue(options)
    if options.output == "json":
        say_json([asdict(arrival) for arrival in arrivals])
    else:
        for arrival in arrivals:
            say(arrival.line())
    return 0 if arrivals and all(arrival.has_arrived for arrival in arrivals) else 1


async def _test_through_queue(options: Namespace) -> list[test_message.Arrival]:
    """The outcome of each message; empty: nothing was sent, because no notifier is alive."""
    given = None if options.all or options.route else options.words
    named = None if given is None else [test_message.recipient(given[0], given[1:])]
    facts = test_message.facts(options.words) if options.route else None
    async with connected() as database:
        if await database.is_router():
            raise DatabaseUnusable(
                "this is a router, and its shards send: notifier test on a shard's database"
            )
        if named is None:
            named = await _named_in_force(database, facts)
        if not await database.is_notifier_alive():
            complain(
                "no notifier is alive, so nothing was sent: start one (notifier run), or send from"
                " here with --direct"
            )
            return []
        return await test_message.through_queue(database, named, options.wait, until_signalled())


async def _named_in_force(
    database: Database, facts: Mapping[str, Any] | None
) -> list[test_message.Target]:
    """Whom the routes of the config in force name for a notification with these facts; None: for
    any notification."""
    if facts is not None:
        routes = await database.routes_of(facts)
        if not routes:
            raise ConfigError(["no route matches these facts"])
    else:
        in_force = await database.config()
        if in_force is None:
            raise ConfigError(["no config is in force: make config"])
        routes = in_force[1]["routes"]
    if not (targets := test_message.named_by(routes)):
        raise ConfigError(["the routes name nobody"])
    return targets
