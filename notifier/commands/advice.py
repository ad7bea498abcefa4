"""notifier advice: what the thresholds and the etas of jobs should be."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from notifier.commands.connection import connected
from notifier.commands.output import json_rows, say, say_json, say_rows
from notifier.commands.window import window_by

PARTS: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "thresholds": (
        "How many intervals a day would be overdue, with the minimum in force and without it",
        ("type", "value", "factor", "a_day", "a_day_without_minimum", "intervals", "is_few"),
    ),
    "ratios": (
        "How many times its eta an interval lasts",
        ("type", "value", "p50", "p75", "p90", "p95", "p99", "intervals", "is_few"),
    ),
    "jobs": (
        "How long a job takes (ratio: the median / the configured eta)",
        (
            "rule",
            "job_type",
            "configured_eta",
            "suggested_eta",
            "ratio",
            "intervals",
            "single_job_intervals",
            "left_out",
            "is_few",
        ),
    ),
}
"""Each part of the advice: its heading and its columns."""
DURATIONS: Final = ("configured_eta", "suggested_eta")
FEW: Final = "few"


async def run(options: Namespace) -> int:
    parts = [*PARTS] if options.only is None else [options.only]
    if options.output == "csv":  # one table
        parts = parts[:1]
    async with connected() as database:
        since, until = await window_by(database, options)
        covered = await database.covered_time(since, until)
        found = {
            part: await database.advice(part, PARTS[part][1], since, until, options.attribute)
            for part in parts
        }
    match options.output:
        case "csv":
            say_rows(PARTS[parts[0]][1], found[parts[0]], "csv")
        case "json":
            say_json(
                {
                    "since": since.isoformat(),
                    "until": until.isoformat(),
                    "covered_from": covered and covered[0].isoformat(),
                    "covered_until": covered and covered[1].isoformat(),
                    **{part: json_rows(PARTS[part][1], found[part], DURATIONS) for part in parts},
                }
            )
        case _ if covered is None:
            say(f"nothing is recorded {_span(since, until)}")
        case _:
            say(f"Recorded {_span(*covered)}")
            for part in parts:
                _say_table(*PARTS[part], found[part])
    return 0


def _span(since: datetime, until: datetime) -> str:
    shown = [time.isoformat(timespec="seconds") for time in (since, until)]
    return f"from {shown[0]} until {shown[1]}"


def _say_table(heading: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Few intervals are marked in a last column."""
    shown = [name for name in columns if name != "is_few"]
    marked = [row | {"": FEW if row["is_few"] else ""} for row in map(dict, rows)]
    say(f"\n{heading}")
    say_rows([*shown, ""], marked, "text", nothing="no closed intervals with an eta")
    if any(row["is_few"] for row in rows):
        say(f"{FEW}: fewer than 30 intervals, little more than chance")
