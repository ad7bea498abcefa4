"""notifier why: why was each interval and skip of a mission reported, or not?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from notifier.commands.connection import connected
from notifier.commands.output import say, say_rows

COLUMNS = ("started_at", "point_id", "type", "question", "answer", "because")


async def run(mission_id: str, output: str) -> int:
    async with connected() as database:
        rows = await database.why(mission_id)
    if output == "text":
        say("\n".join(lines(rows)) if rows else "nothing has happened yet")
    else:
        say_rows(COLUMNS, rows, output)
    return 0


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each interval and skip, and below it its questions."""
    for place, ((started_at, type, point_id), asked) in enumerate(groupby(rows, key=_subject)):
        if place:
            yield ""
        since = "" if started_at is None else f" {started_at:%Y-%m-%d %H:%M:%S%z}"
        yield f"{type} {point_id}{since}"
        for row in asked:
            yield f"  {row['question']}: {row['answer']}. {row['because']}"


def _subject(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["started_at"], row["type"], row["point_id"]
