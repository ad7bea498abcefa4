"""notifier why: why was each interval and skip of a mission reported, or not?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifier.commands.connection import connected
from notifier.commands.output import say, say_rows
from notifier.commands.window import time_zone_of

COLUMNS = ("started_at", "point_id", "type", "question", "answer", "because")


async def run(mission_id: str, output: str) -> int:
    async with connected() as database:
        rows = await database.why(mission_id)
        time_zone = await time_zone_of(database)
    if output == "text":
        say("\n".join(lines(rows, time_zone)) if rows else "nothing has happened yet")
    else:
        say_rows(COLUMNS, rows, output)
    return 0


def lines(rows: Sequence[Mapping[str, Any]], time_zone: str) -> Iterator[str]:
    """Each interval and skip, and below it its questions. Times are by this time zone."""
    zone: tzinfo = UTC
    with suppress(ZoneInfoNotFoundError, ValueError, OSError):  # this machine may not know it
        zone = ZoneInfo(time_zone)
    for place, ((started_at, type, point_id), asked) in enumerate(groupby(rows, key=_subject)):
        if place:
            yield ""
        since = "" if started_at is None else f" {_clock(started_at.astimezone(zone))}"
        yield f"{type} {point_id}{since}"
        for row in asked:
            yield f"  {row['question']}: {row['answer']}. {row['because']}"


def _clock(time: datetime) -> str:
    """2026-11-26 12:00:00 +03:00, as in the sentences of why()."""
    offset = f"{time:%z}"
    return f"{time:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"


def _subject(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["started_at"], row["type"], row["point_id"]
