"""notifier config history, diff, rollback."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from notifier import config as configs
from notifier.commands.connection import connected
from notifier.commands.output import json_rows, say, say_json, say_rows
from notifier.config import Config, ConfigError
from notifier.config.differences import Difference, decides, differences
from notifier.database.errors import reason
from notifier.database.statements import Database

TESTED: timedelta = timedelta(days=7)
"""Over how long a config is tested."""

COLUMNS = ("config_id", "is_in_force", "applied_at", "applied_by", "comment")
BACKTEST_COLUMNS = ("day", "type", "rule", "would_tell", "told")


async def history(options: Namespace) -> int:
    async with connected() as database:
        stored = await database.configs()
    rows = [vars(each) | {"is_in_force": n == 0} for n, each in enumerate(stored)]
    say_rows(COLUMNS, rows, options.output, nothing="no config was applied yet: make config")
    return 0


async def document_of(database: Database, config_id: int) -> Any:
    """The document of a config that was applied. Raises ConfigError if there is none."""
    document = await database.stored_config(config_id)
    if document is None:
        raise ConfigError([f"ID: no config {config_id} was applied: see notifier config history"])
    return document


async def diff(options: Namespace) -> int:
    asked: Path | int = options.other
    document = None if isinstance(asked, int) else configs.read_json(asked)
    config = None if document is None else configs.parse(document)
    async with connected() as database:
        if isinstance(asked, int):
            document = await document_of(database, asked)
        await say_difference(
            database,
            f"config {asked}" if isinstance(asked, int) else str(asked),
            document,
            configs.parse_stored(document) if config is None else config,
            options.output,
        )
    return 0


async def say_difference(
    database: Database, name: str, document: Any, config: Config, output: str
) -> None:
    """Prints how a config differs from the one in force, and what it would have told."""
    in_force = await database.config()
    if in_force is None:
        raise ConfigError(["no config is in force: make config"])
    found = differences(configs.parse_stored(in_force[1]), config)
    if output == "csv":
        say_rows(("path", "change", "old", "new"), [asdict(each) for each in found], output)
        return
    until = datetime.now(UTC)
    tested: list[dict[str, Any]] | None = None
    notes: list[str] = []
    if decides(found):
        try:
            tested, notes = await database.backtest_days(document, until - TESTED, until)
        except psycopg.Error as error:
            notes = [f"what it would have told cannot be computed: {reason(error)}"]
    if output == "json":
        say_json(
            {
                "compared_with": in_force[0],
                "differences": [asdict(each) for each in found],
                "backtest": None if tested is None else json_rows(BACKTEST_COLUMNS, tested),
                "backtest_notes": notes,
            }
        )
        return
    for line in _lines(name, in_force[0], found, tested, notes):
        say(line)


def _lines(
    name: str,
    config_id: int,
    found: Sequence[Difference],
    tested: Sequence[Mapping[str, Any]] | None,
    notes: Sequence[str],
) -> list[str]:
    if not found:
        return [f"{name}: no difference from config {config_id}, which is in force"]
    lines = [each.line() for each in found]
    if tested is not None:
        return [*lines, *_told(tested), *notes]
    return [*lines, *(notes or ["nothing that decides what is reported, or to whom, differs"])]


def _told(tested: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line of totals, then the days."""
    days: dict[Any, tuple[Counter[str], Counter[str]]] = {}
    for row in tested:
        would_tell, told = days.setdefault(row["day"], (Counter(), Counter()))
        would_tell[row["type"]] += row["would_tell"]
        told[row["type"]] += row["told"]
    totals = [sum((day[n] for day in days.values()), Counter[str]()) for n in (0, 1)]
    return [
        f"over the last {TESTED.days} days it would have told: {_counts(totals[0], totals[1])}",
        *(f"  {day}: {_counts(*days[day])}" for day in sorted(days)),
    ]


def _counts(would_tell: Counter[str], told: Counter[str]) -> str:
    """2 job_skipped (told: 2), 5 timeout_in_point (told: 7)"""
    types = sorted({*would_tell, *told})
    counts = [f"{would_tell[type]} {type} (told: {told[type]})" for type in types]
    return ", ".join(counts) or "nothing, as was told"
