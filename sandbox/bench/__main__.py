"""What passes, views, the trigger and the notifier cost.

It uses a private PostgreSQL and fleets that are the same in every run. What is measured takes
turns with what it is compared with: most figures are the ratio of two medians of n turns. Pages
are those that EXPLAIN (ANALYZE, BUFFERS) counts as hit or read; they have no noise. It prints a
table, and writes the same table with the medians behind each ratio to build/bench.json.

The exit code is 1 if a pass does not find exactly the missions that the fleet was built to have
due. A missed target is a result, and the exit code stays 0.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from notifier import config as configs
from notifier.resources import ROOT
from sandbox.bench import delivery, detection, queues, steps
from sandbox.bench.context import LARGE, Bench, Turns
from sandbox.bench.databases import Databases, Session
from sandbox.bench.fleet import Fleet, WrongCount
from sandbox.bench.report import Figure, Report
from sandbox.commands import exit_code_of
from sandbox.postgres import Postgres

FIGURES = (*detection.FIGURES, *delivery.FIGURES, *steps.FIGURES, *queues.FIGURES)
OUTPUT = ROOT / "build" / "bench.json"
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""Memory for the smaller fleets, and no checkpoint during a figure."""
DEFAULTS = {"jit": "on"}
"""PostgreSQL's defaults that a private server does not have."""
SHOWN_SETTINGS = [*SETTINGS, "work_mem", *DEFAULTS, "max_parallel_workers_per_gather"]
SHOWN_SETTINGS += ["random_page_cost", "autovacuum_naptime", "synchronous_commit", "fsync"]
SCALES = {
    "1k": (1_000, (0, 1_000_000)),
    "10k": (10_000, (0, 1_000_000)),
    "100k": (100_000, (0, 1_000_000)),
    "1M": (1_000_000, (1_000_000, 10_000_000)),
}
"""By name: the number of active missions, and the numbers of events of finished missions that
they are measured with."""
DEFAULT = "1k,10k,100k"
DUE = 100
"""How many missions become overdue at each step."""


def bench(
    scales: Iterable[tuple[int, tuple[int, ...]]], turns: Turns, output: Path, due: int = DUE
) -> list[Figure]:
    """Measure and print every figure, and write the JSON. Raises WrongCount."""
    start = datetime.now(UTC).replace(microsecond=0)
    report = Report()
    config = configs.read_json(ROOT / "config.json")
    report.begin("starting a private PostgreSQL")
    with Postgres(server_settings=SETTINGS | DEFAULTS) as server:
        facts = _environment(server)
        settings = ", ".join(f"{name} {value}" for name, value in facts["settings"].items())
        report.say(f"PostgreSQL {facts['postgresql']}, {facts['cores']} cores; {settings}\n")
        databases = Databases(server, config, report)
        fleets = [
            databases.settled(Fleet(active, history, due, start))
            for active, histories in scales
            for history in histories
        ]
        # Slow figures get the largest fleet that they have time for, with the shortest history, in
        # a copy that no other figure changes.
        sizes = [fleet.active for fleet in fleets]
        slow = max((n for n in sizes if n <= LARGE), default=min(sizes))
        fleet = fleets[sizes.index(slow)]
        fleet = replace(fleet, database=databases.copied(fleet.database))
        subject = Bench(databases, config, fleets, fleet, turns, report)
        for figures in FIGURES:
            figures(subject)
    facts |= {"took": report.elapsed, "figures": [each.as_json() for each in report.figures]}
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return report.figures


def _environment(server: Postgres) -> dict[str, Any]:
    """What a reader of the figures must know about where they were measured."""
    with Session(server.conninfo("postgres")) as session:
        return {
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "postgresql": session.value("show server_version"),
            "python": platform.python_version(),
            "psycopg": f"{psycopg.__version__} ({psycopg.pq.__impl__})",
            "cores": len(os.sched_getaffinity(0)),
            "settings": {name: session.value(f"show {name}") for name in SHOWN_SETTINGS},
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scale",
        default=DEFAULT,
        help=f"some of {','.join(SCALES)}, or full for all of them (default: {DEFAULT})",
    )
    chosen = parser.parse_args().scale
    names = [*SCALES] if chosen == "full" else chosen.split(",")
    if unknown := [name for name in names if name not in SCALES]:
        parser.error(f"no scale {unknown[0]!r}; choose from {', '.join(SCALES)}, full")
    return exit_code_of("bench", lambda: _bench(names), WrongCount)


def _bench(names: Iterable[str]) -> int:
    found = bench([SCALES[name] for name in names], Turns(), OUTPUT)
    missed = sum(figure.verdict == "MISSED" for figure in found)
    print(f"\n{len(found)} figures, {missed} targets missed; also in {OUTPUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
