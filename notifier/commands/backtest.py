"""notifier backtest: what would this config have told, beside what was told?"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from notifier import config as configs
from notifier.commands.connection import connected
from notifier.commands.output import complain, say_rows
from notifier.commands.window import window_by
from notifier.config import ConfigError

COLUMNS = ("day", "type", "rule", "route")
"""What --by may name apart from an attribute of missions."""
LOWER_BOUND = "is_lower_bound"
COUNTS = ("would_tell", "told", "would_send", "sent")


async def run(options: Namespace) -> int:
    by = list(dict.fromkeys(options.by or ["day", "type", "rule"]))
    attributes = [name for name in by if name not in COLUMNS]
    if len(attributes) > 1:
        raise ConfigError([f"--by: only one attribute, not {' and '.join(attributes)}"])
    document = configs.read_json(options.file)
    configs.parse(document)
    columns = ["value" if name in attributes else name for name in by]
    async with connected() as database:
        since, until = await window_by(database, options)
        rows, notes = await database.backtest(
            document, since, until, attributes[0] if attributes else None
        )
    rows = summed(rows, columns)
    say_rows(
        [*columns, *COUNTS, LOWER_BOUND],
        rows,
        options.output,
        nothing="nothing was or would be told",
    )
    if not notes and any(row[LOWER_BOUND] for row in rows):
        notes = ["a lower bound where is_lower_bound is true"]
    for note in notes:
        complain(note)
    return 0


def summed(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The sums of backtest_details() by these columns, in their order."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in columns)
        empty = {**dict.fromkeys(COUNTS, 0), LOWER_BOUND: False}
        total = sums.setdefault(key, dict(zip(columns, key, strict=True)) | empty)
        for name in COUNTS:
            total[name] += row[name]
        total[LOWER_BOUND] |= row[LOWER_BOUND]
    return sorted(sums.values(), key=lambda row: [(row[n] is not None, row[n]) for n in columns])
