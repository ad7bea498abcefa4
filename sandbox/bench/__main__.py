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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from notifier import config as configs
from notifier.config import ROOT
from sandbox.bench import detection
from sandbox.bench.fleet import Bench, Fleet, Fleets, Session, Turns, World, WrongCount
from sandbox.bench.report import Figure, Progress, Report
from sandbox.postgres import BootFailed, NoPostgres, Postgres

FIGURES = (*detection.FIGURES,)
OUTPUT = ROOT / "build" / "bench.json"
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
"""Beside the defaults: room for the smaller fleets, and no checkpoint in the midst of a figure."""
SHOWN_SETTINGS = [*SETTINGS, "work_mem", "jit", "max_parallel_workers_per_gather"]
SHOWN_SETTINGS += ["random_page_cost", "autovacuum_naptime", "synchronous_commit", "fsync"]


@dataclass(frozen=True)
class Scale:
    """A fleet of `active` missions, once with each of these numbers of finished events."""

    active: int
    histories: tuple[int, ...]
    due: int = 100
    """Missions that become overdue at a time."""


SCALES = {
    "1k": Scale(1_000, (0, 1_000_000)),
    "10k": Scale(10_000, (0, 1_000_000)),
    "100k": Scale(100_000, (0, 1_000_000)),
    "1M": Scale(1_000_000, (1_000_000, 10_000_000)),
}
DEFAULT = "1k,10k,100k"
LARGEST_FOR_SLOW_FIGURES = 100_000


def bench(scales: Sequence[Scale], turns: Turns, output: Path) -> list[Figure]:
    """Measures, prints, and writes the JSON. Raises WrongCount."""
    start = datetime.now(UTC).replace(microsecond=0)
    progress = Progress()
    report = Report(progress)
    config = configs.read_json(ROOT / "config.json")
    progress.begin("starting a private PostgreSQL")
    with Postgres() as server:
        facts = _set_up(server)
        progress.clear()
        print(f"PostgreSQL {facts['postgresql']}, {facts['cores']} cores")
        print(", ".join(f"{name} {value}" for name, value in facts["settings"].items()) + "\n")
        fleets = Fleets(server, config, progress)
        worlds = []
        for scale in scales:
            for history in scale.histories:
                fleet = Fleet(scale.active, history, scale.due, start)
                worlds.append(World(fleet, fleets.settled(fleet)))
        world = _world_of_slow_figures(worlds)
        world = World(world.fleet, fleets.copied(world.database))
        subject = Bench(fleets, config, worlds, world, turns, report)
        for figures in FIGURES:
            figures(subject)
    facts |= {"took": progress.elapsed, "figures": [each.as_json() for each in report.figures]}
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return report.figures


def _world_of_slow_figures(worlds: Sequence[World]) -> World:
    """The largest fleet that they have time for, with its least history."""
    sizes = [world.fleet.active for world in worlds]
    size = max((size for size in sizes if size <= LARGEST_FOR_SLOW_FIGURES), default=min(sizes))
    return next(world for world in worlds if world.fleet.active == size)


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
