"""`notifier test`: does a message arrive? Through the real queue, or straight from this process."""

from __future__ import annotations

import asyncio
import getpass
import json
import math
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from notifier.channels import CHANNELS
from notifier.channels.outcomes import InDoubt, Message, Sent
from notifier.config import Config, ConfigError
from notifier.config.problems import problem
from notifier.database.statements import Database
from notifier.database.values import TestResult
from notifier.delivery.setup import renderer_for
from notifier.notification_types import JOB_TYPES, NOTIFICATION_TYPES, TEST_TYPE
from notifier.secrets import Secrets

POLL_SECONDS = 0.2
FINAL_STATES = frozenset({"sent", "failed", "in_doubt", "blocked", "cancelled"})
"""Waiting longer changes none of these."""

Target = Mapping[str, Any]


@dataclass(frozen=True)
class Arrival:
    """What became of one message.

    state      as in the database's test_results()
    reference  the message's id or the ticket's key, if sent
    error      why it has not arrived
    """

    target: Target
    state: str
    reference: str | None
    error: str | None

    @property
    def has_arrived(self) -> bool:
        return self.state == "sent"

    def line(self) -> str:
        """telegram chat_id=-1001: sent, 17"""
        detail = self.reference if self.has_arrived else self.error
        return f"{_shown(self.target)}: {self.state}" + (f", {detail}" if detail else "")


def asked_by() -> str:
    """The name of the system's user, or its number if it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


# --- To whom ---------------------------------------------------------------------------------


def recipient(channel: str, words: Sequence[str]) -> Target:
    """telegram, ["chat_id=-1001"] -> {"type": "telegram", "chat_id": -1001}

    Raises ConfigError naming each bad key.
    """
    given: dict[str, Any] = {**_pairs(words), "type": channel}
    model = CHANNELS[channel].Recipient
    try:
        return _validated(model.model_validate, given)
    except ValidationError as error:
        # What is no good as text may be meant as a number.
        for details in error.errors():
            key = details["loc"][0] if details["loc"] else ""
            if isinstance(text := given.get(str(key)), str) and key != "type":
                given[str(key)] = value_of(text)
    try:
        return _validated(model.model_validate, given)
    except ValidationError as error:
        problems = dict.fromkeys(problem(details) for details in error.errors())
        raise ConfigError(list(problems)) from None


def _validated(validate: Any, given: Mapping[str, Any]) -> Target:
    return dict(validate(dict(given)).model_dump(exclude_unset=True))


EVENT_FACTS: Final = ("type", "job_type", "mission_id", "point_id", "performer_id")
"""What a match can look at besides the attributes of the mission and the time."""


def facts(words: Sequence[str]) -> dict[str, Any]:
    """["type=job_skipped", "city=Moscow"] as what matches look at: type, job_type, mission_id,
    point_id, performer_id (all text) and attributes. An attribute that is JSON's true, false or a
    number is read as such; '"7"' is a text.

    Raises ConfigError.
    """
    pairs = _pairs(words)
    found: dict[str, Any] = {key: pairs.pop(key, None) for key in EVENT_FACTS}
    if found["type"] not in NOTIFICATION_TYPES:
        raise ConfigError([f"type: must be one of {', '.join(NOTIFICATION_TYPES)}"])
    if found["job_type"] is not None and found["type"] not in JOB_TYPES:
        raise ConfigError([f"job_type: a {found['type']} has none"])
    if "at" in pairs:
        raise ConfigError(["at: is no attribute; config route has --at"])
    return {**found, "attributes": {key: value_of(text) for key, text in pairs.items()}}


def named_by(routes: Sequence[Mapping[str, Any]]) -> list[Target]:
    """Every recipient that one of these routes or its levels names, once."""
    found: dict[str, Target] = {}
    for route in routes:
        for level in (route, *route.get("escalate", [])):
            for target in level["recipients"]:
                found.setdefault(json.dumps(target, sort_keys=True), target)
    return list(found.values())


def _pairs(words: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        key, value = pair_of(word)
        if key in pairs:
            raise ConfigError([f"{key}: given twice"])
        pairs[key] = value
    return pairs


def pair_of(word: str) -> tuple[str, str]:
    """key=value as key, value. Raises ConfigError."""
    key, equals, value = word.partition("=")
    if not (key and equals):
        raise ConfigError([f"{word!r} is not of the form key=value"])
    return key, value


def value_of(text: str) -> Any:
    """JSON's true, false, number or text as such; anything else is a text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return text  # JSON has no such number
    return value if isinstance(value, bool | int | float | str) else text


# --- Through the queue -----------------------------------------------------------------------


async def through_queue(
    database: Database, targets: Sequence[Target], wait_seconds: float, stopped: asyncio.Event
) -> list[Arrival]:
    """Sends the test and waits until each message has an outcome, for so long, or until `stopped`.
    Nothing of the test remains in the database."""
    token = await database.send_test(targets, asked_by(), socket.gethostname())
    try:
        results = await _outcomes(database, token, wait_seconds, stopped)
    finally:
        await database.end_test(token)
    return [
        Arrival(result.target, result.state, result.reference, _error(result)) for result in results
    ]


async def _outcomes(
    database: Database, token: str, wait_seconds: float, stopped: asyncio.Event
) -> list[TestResult]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    while True:
        results = await database.test_results(token)
        left = deadline - loop.time()
        is_over = left <= 0 or stopped.is_set()
        if is_over or all(result.state in FINAL_STATES for result in results):
            return results
        try:
            async with asyncio.timeout(min(left, POLL_SECONDS)):
                await stopped.wait()
        except TimeoutError:
            continue


def _error(result: TestResult) -> str | None:
    if result.state == "sent":
        return None
    if result.error is None and result.state == "pending":
        return "no notifier has taken it yet"
    return result.error


# --- Without the database ------------------------------------------------------------------------


async def directly(
    config: Config, templates_dir: Path, secrets: Secrets, targets: Sequence[Target]
) -> list[Arrival]:
    """Sends the test from this process.

    Raises ConfigError, SecretMissing or TemplateError if the config cannot be used.
    """
    settings = config.channel_settings()
    unknown = sorted({target["type"] for target in targets} - settings.keys())
    if unknown:
        raise ConfigError(
            [f"channel {name!r} is not configured under channels" for name in unknown]
        )
    renderer = renderer_for(config, templates_dir)
    token = f"test__{str(uuid.uuid4())[:13]}_{TEST_TYPE}"
    host = socket.gethostname()
    test_facts = {
        "token": token,
        "type": TEST_TYPE,
        "mission_id": TEST_TYPE,
        "point_id": None,
        "job_id": None,
        "asked_by": asked_by(),
        "asked_from": host,
        "asked_at": datetime.now(UTC),
        "sent_by": host,
    }
    channels = {
        name: CHANNELS[name](settings[name], secrets)
        for name in dict.fromkeys(target["type"] for target in targets)
    }
    try:
        arrivals = []
        for n, target in enumerate(targets):
            channel = channels[target["type"]]
            parts = renderer.render(TEST_TYPE, type(channel), test_facts)
            outcome = await channel.deliver(Message(f"{token}/{n}", target, parts))
            if isinstance(outcome, Sent):
                arrivals.append(Arrival(target, "sent", outcome.reference, None))
            else:
                state = "in_doubt" if isinstance(outcome, InDoubt) else "failed"
                arrivals.append(Arrival(target, state, None, outcome.reason))
        return arrivals
    finally:
        for channel in channels.values():
            await channel.aclose()


def _shown(target: Target) -> str:
    """telegram chat_id=-1001 message_thread_id=7"""
    fields = (f"{key}={value}" for key, value in target.items() if key != "type")
    return " ".join([str(target["type"]), *fields])
