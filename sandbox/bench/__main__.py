"""What passes, views and the trigger cost.

A private PostgreSQL, fleets that are the same at each run, and beside everything that is measured
what it is compared with, in turns: a figure is a ratio of two medians of n turns. Pages are what
EXPLAIN (ANALYZE, BUFFERS) counts, hit or read, and have no noise. Prints a table and writes the
same, with the medians behind each ratio, to build/bench.json. Ends with 1 where a pass did not
find exactly what the fleet was built to have due; a missed target is a result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from notifier import config as configs
from notifier.config import ROOT
from sandbox.bench import delivery, detection
from sandbox.bench.context import LARGE, Bench, Turns
from sandbox.bench.databases import Databases, Session
from sandbox.bench.fleet import Fleet, WrongCount
from sandbox.bench.report import Figure, Report
from sandbox.postgres import BootFailed, NoPostgres, Postgres

FIGURES = (*detection.FIGURES, *delivery.FIGURES)
OUTPUT = ROOT / "build" / "bench.json"
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""Beside the defaults: room for the smaller fleets, and no checkpoint in the midst of a figure."""
SHOWN_SETTINGS = [*SETTINGS, "work_mem", "jit", "max_parallel_workers_per_gather"]
SHOWN_SETTINGS += ["random_page_cost", "autovacuum_naptime", "synchronous_commit", "fsync"]
SCALES = {
    "1k": (1_000, (0, 1_000_000)),
    "10k": (10_000, (0, 1_000_000)),
    "100k": (100_000, (0, 1_000_000)),
    "1M": (1_000_000, (1_000_000, 10_000_000)),
}
"""Active missions, once with each of these numbers of finished events."""
DEFAULT = "1k,10k,100k"
DUE = 100
"""Missions that become overdue at a time."""


def bench(
    scales: Iterable[tuple[int, tuple[int, ...]]], turns: Turns, output: Path, due: int = DUE
) -> list[Figure]:
    """Measures, prints, and writes the JSON. Raises WrongCount."""
    start = datetime.now(UTC).replace(microsecond=0)
    report = Report()
    config = configs.read_json(ROOT / "config.json")
    report.begin("starting a private PostgreSQL")
    with Postgres() as server:
        facts = _set_up(server)
        settings = ", ".join(f"{name} {value}" for name, value in facts["settings"].items())
        report.say(f"PostgreSQL {facts['postgresql']}, {facts['cores']} cores; {settings}\n")
        databases = Databases(server, config, report)
        fleets = [
            databases.settled(Fleet(active, history, due, start))
            for active, histories in scales
            for history in histories
        ]
        # The largest that slow figures have time for, with its least history; untouched by others.
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


def _set_up(server: Postgres) -> dict[str, Any]:
    """Puts SETTINGS into force; returns what a reader of figures must know of their origin."""
    with Session(server.conninfo("postgres")) as session:
        for name, value in SETTINGS.items():
            session.execute(f"alter system set {name} = '{value}'")
    server.terminate()
    server.start()
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
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--scale", default=DEFAULT, help=f"of {','.join(SCALES)}; full: all")
    chosen = parser.parse_args().scale
    names = [*SCALES] if chosen == "full" else chosen.split(",")
    if unknown := [name for name in names if name not in SCALES]:
        parser.error(f"no scale {unknown[0]!r}; there are {', '.join(SCALES)}, full")
    try:
        found = bench([SCALES[name] for name in names], Turns(), OUTPUT)
    except KeyboardInterrupt:
        print("\nbench: interrupted; nothing is left behind", file=sys.stderr)
        return 130
    except (WrongCount, NoPostgres, BootFailed, psycopg.Error, configs.ConfigError) as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    missed = sum(figure.verdict == "MISSED" for figure in found)
    print(f"\n{len(found)} figures, {missed} targets missed; also in {OUTPUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
