"""notifier config route: whom would this reach, by which route, and why not by the earlier ones?"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifier import config as configs
from notifier.channels import CHANNELS
from notifier.commands.connection import connected
from notifier.commands.output import complain, say, say_json
from notifier.config import ConfigError
from notifier.test_message import Target, facts, recipient

NOBODY = "nobody"
NO_ROUTE = "no-route"

Explained = Mapping[str, Any]


async def run(options: Namespace) -> int:
    asked = facts([f"type={options.type}", *options.words])
    expected = None if options.expect is None else expectation(options.expect)
    document = None
    if options.config is not None:
        document = configs.read_json(options.config)
        configs.parse(document)
    async with connected() as database:
        if document is None and await database.config() is None:
            raise ConfigError(["no config is in force: make config"])
        explained = await database.explain_route(asked, options.at, document)
    if options.output == "json":
        say_json(explained)
    else:
        for line in lines(explained):
            say(line)
    differences = [] if expected is None else [*_differences(expected, told(explained))]
    for difference in differences:
        complain(difference)
    return 1 if differences else 0


# --- What is expected ------------------------------------------------------------------------


def word(target: Target) -> str:
    """{"type": "telegram", "chat_id": -1001} -> telegram:-1001"""
    fields = CHANNELS[target["type"]].Recipient.model_fields
    values = [target.get(name) for name in fields if name != "type"]
    return ":".join(str(value) for value in (target["type"], *values) if value is not None)


def told(explained: Explained) -> list[str]:
    """Who would be told first, as words of --expect."""
    if not any(route["matches"] for route in explained["routes"]):
        return [NO_ROUTE]
    return [word(target) for target in explained["recipients"]] or [NOBODY]


def expectation(arguments: Sequence[str]) -> list[str]:
    """The words of --expect, which may also be recipients as JSON, each checked.

    Raises ConfigError.
    """
    expected: list[str] = []
    for argument in arguments:
        if argument.startswith(("{", "[")):
            expected += _json_words(argument)
        else:
            expected.append(argument if argument in (NOBODY, NO_ROUTE) else _checked(argument))
    if len(set(expected)) > 1 and not {NOBODY, NO_ROUTE}.isdisjoint(expected):
        raise ConfigError([f"--expect: {NOBODY} and {NO_ROUTE} each stand alone"])
    return list(dict.fromkeys(expected))


def _checked(argument: str) -> str:
    channel, *values = argument.split(":")
    if channel not in CHANNELS:
        forms = f"CHANNEL:ADDRESS with CHANNEL one of {', '.join(CHANNELS)}"
        raise ConfigError([f"--expect {argument}: must be {forms}, or {NOBODY}, or {NO_ROUTE}"])
    names = [name for name in CHANNELS[channel].Recipient.model_fields if name != "type"]
    if len(values) > len(names):
        raise ConfigError([f"--expect {argument}: must have {', '.join(names)} and no more"])
    pairs = [f"{name}={value}" for name, value in zip(names, values, strict=False)]
    return _word_of(channel, pairs, argument)


def _json_words(argument: str) -> Iterator[str]:
    try:
        document = json.loads(argument)
    except (ValueError, RecursionError):
        raise ConfigError([f"--expect {argument}: broken JSON"]) from None
    listed = document if isinstance(document, list) else [document]
    if not listed:
        yield NOBODY
    for target in listed:
        if not isinstance(target, dict) or target.get("type") not in CHANNELS:
            forms = f"a recipient whose type is one of {', '.join(CHANNELS)}"
            raise ConfigError([f"--expect {argument}: must be {forms}"])
        pairs = [f"{key}={value}" for key, value in target.items() if key != "type"]
        yield _word_of(target["type"], pairs, argument)


def _word_of(channel: str, pairs: Sequence[str], argument: str) -> str:
    try:
        return word(recipient(channel, pairs))
    except ConfigError as error:
        problems = [f"--expect {argument}: {problem}" for problem in error.problems]
        raise ConfigError(problems) from None


def _differences(expected: Sequence[str], actual: Sequence[str]) -> Iterator[str]:
    for missing in dict.fromkeys(expected):
        if missing not in actual:
            yield f"expected, but not so: {missing}"
    for surplus in dict.fromkeys(actual):
        if surplus not in expected:
            yield f"not expected: {surplus}"


# --- In words --------------------------------------------------------------------------------


def lines(explained: Explained) -> Iterator[str]:
    """What the database explained, for people to read. Times are those of notifier.time_zone."""
    clock = _Clock(explained["time_zone"])
    for route in explained["routes"]:
        yield f"{route['path']}: {_verdict(route, clock, 'decides')}"
    if not any(route["matches"] for route in explained["routes"]):
        yield "no route matches: nobody would be told, and it would need a person"
    else:
        yield f"told: {_words(explained['recipients'])}"
    for level in explained["escalations"]:
        when = (
            f"after {level['after_seconds']:g} s"
            if "after_seconds" in level
            else f"at {level['at_factor']:g} times the eta"
        )
        yield f"{level['path']}: {when}: {_words(level['recipients'])}"
    for again in explained["reminders"]:
        every = f"every {again['every_seconds']:g} s, {again['times']} times"
        yield f"{again['path']}: {every}: {_words(again['recipients'])}"
    yield from _limit(explained["limit"], clock)
    for hold in explained["holds"]:
        why = f"silence {hold['silence_id']} by {hold['by']}: {hold['comment']}"
        yield f"held until {clock.shown(hold['until'])} ({why})"


def _limit(limit: Mapping[str, Any] | None, clock: _Clock) -> Iterator[str]:
    if limit is None:
        return
    for override in limit["overrides"]:
        verdict = _verdict(override, clock, "sets the limit")
        yield f"{override['path']} ({override['name']}): {verdict}"
    rule = "" if limit["rule"] is None else f" by {limit['rule']}"
    least = f", at least {limit['minimum_seconds']:g} s" if limit["minimum_seconds"] else ""
    off = "" if limit["is_enabled"] else "; disabled: nothing of this type is reported"
    yield f"limit: {limit['factor']:g} times the eta{least}{rule} ({limit['path']}){off}"


def _verdict(asked: Mapping[str, Any], clock: _Clock, success: str) -> str:
    """decides; does not match: city is "Omsk", not "Moscow" """
    if asked["matches"]:
        return success
    given, wanted = asked["given"], asked["wanted"]
    if asked["failed_key"] == "at":
        return f"does not match: at {clock.shown(given)} it is not {_wanted(wanted)}"
    is_now = "not given" if given is None else _json(given)
    return f"does not match: {asked['failed_key']} is {is_now}, not {_wanted(wanted)}"


class _Clock:
    """Shows times by the config's clock; by UTC if Python does not know its zone."""

    def __init__(self, zone: str) -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._zone = ZoneInfo("UTC")

    def shown(self, timestamp: str) -> str:
        try:
            moment = datetime.fromisoformat(timestamp).astimezone(self._zone)
        except (ValueError, OverflowError):  # beyond Python's years
            return timestamp
        return f"{moment:%a %Y-%m-%d %H:%M} {moment.tzname()}"


def _words(targets: Sequence[Target]) -> str:
    return ", ".join(map(word, targets)) or NOBODY


def _wanted(wanted: Any) -> str:
    return " or ".join(map(_json, wanted)) if isinstance(wanted, list) else _json(wanted)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
