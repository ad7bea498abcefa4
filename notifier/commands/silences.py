"""notifier silence, silences, unsilence."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from notifier import test_message
from notifier.commands.connection import connected
from notifier.commands.output import say, say_json
from notifier.database.values import Held, Silence
from notifier.silences import counted, line_of, match_of
from notifier.status.advice import age

SHOWN_HELD = 20
"""How many notifications a dry run shows as text; JSON has them all."""


async def silence(options: Namespace) -> int:
    match = match_of(options.words)
    by = test_message.asked_by() if options.by is None else options.by
    async with connected() as database:
        if options.dry_run:
            _say_held(await database.preview_silence(match, options.duration), options)
            return 0
        silence_id = await database.silence(match, options.duration, options.comment, by)
        (made,) = await database.silences(silence_id)
    if options.output == "json":
        say_json(document(made))
    else:
        say(f"silence {silence_id}: {line_of(made)}")
    return 0


async def silences(*, with_past: bool, as_json: bool) -> int:
    async with connected() as database:
        found = await database.silences(with_past=with_past)
    if as_json:
        say_json([document(each) for each in found])
    elif found:
        say("\n".join(f"{each.silence_id:>6}  {line_of(each)}" for each in found))
    else:
        say("no silences")
    return 0


async def unsilence(silence_id: int, by: str | None) -> int:
    async with connected() as database:
        is_first = await database.unsilence(
            silence_id, test_message.asked_by() if by is None else by
        )
    say("ended: what it held goes out now" if is_first else "it is over already")
    return 0


def document(row: Silence | Held) -> dict[str, Any]:
    """The row's fields, with times in ISO 8601 and durations in seconds."""
    found: dict[str, Any] = {}
    for key, value in vars(row).items():
        if isinstance(value, timedelta):
            found[f"{key}_seconds"] = value.total_seconds()
        else:
            found[key] = value.isoformat() if isinstance(value, datetime) else value
    return found


def _say_held(held: list[Held], options: Namespace) -> None:
    if options.output == "json":
        say_json([document(each) for each in held])
        return
    counts = Counter(each.would_be_told for each in held)
    say(
        f"in the last day it would have held the alerts of {counted(len(held), 'notification')}:"
        f" {counts[False]} resolved by its end and never sent, {counts[True]} sent then"
    )
    for each in held[:SHOWN_HELD]:
        end = "sent" if each.would_be_told else "resolved"
        say(f"  {each.idempotency_token}: {end} after {age(each.held)}")
    if len(held) > SHOWN_HELD:
        say(f"  and {len(held) - SHOWN_HELD} more: --output json")
