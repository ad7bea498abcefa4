"""The benchmark's fleets: the same at each run, and known to the last overdue mission.

A fleet is a database. Its missions have 8 points with 2 jobs each and are midway: mission i has
i % 16 events after its start, 400 s apart. Every 33rd (3 %) has been overdue for an hour and is
notified. The others fall due over the 10 minutes after the fleet's start, in steps: exactly `due`
of them, spread over the whole fleet, at each step. Nobody writes: a moment later the next step is
due. Finished missions end at least two days, and at most ninety, before the start.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any, LiteralString, Self
from unittest.mock import patch

import psycopg

from notifier.migrate import migrate
from sandbox.bench.report import Figure, Report
from sandbox.postgres import Postgres

TEMPLATE = "bench_template"
LARGE = 100_000
"""Active missions of the fleet for the figures that concern a whole fleet."""
OVERDUE_EVERY = 33
WINDOW = timedelta(minutes=10)
"""Shorter than the shortest limit, so that no event lies after the fleet's start."""
EVENTS_OF_A_FINISHED_MISSION = 18
CHUNK = 10_000
"""So many missions are loaded by one statement."""

DETECT = "select scooters_ops.detect_timeouts(%s)"
LOOKED_AT = "select missions from scooters_ops.detection_passes order by pass_id desc limit 1"

PLAN: tuple[LiteralString, ...] = (
    """
    insert into scooters_ops.missions (mission_id, performer_id, status, attributes)
    select %(prefix)s || i, 'courier-' || i, %(status)s, '{"city": "Moscow"}'
    from generate_series(%(first)s, %(last)s) as i
    """,
    """
    insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
    select %(prefix)s || i, 'point-' || p, p, interval '600 s'
    from generate_series(%(first)s, %(last)s) as i, generate_series(1, 8) as p
    """,
    """
    insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, status)
    select
        %(prefix)s || i, 'point-' || p, 'job-' || j, (array['battery_exchange', 'pickup'])[j],
        case %(status)s when 'completed' then 'completed' else 'planned' end
    from
        generate_series(%(first)s, %(last)s) as i,
        generate_series(1, 8) as p, generate_series(1, 2) as j
    """,
    """
    insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
    select
        %(prefix)s || i,
        case when event between 1 and 16 then 'point-' || (event + 1) / 2 end,
        case
            when event = 0 then 'mission_started'
            when event = 17 then 'mission_completed'
            when event %% 2 = 1 then 'point_arrived'
            else 'point_completed'
        end,
        last_at - interval '400 s' * (events - event)
    from generate_series(%(first)s, %(last)s) as i,
    """,
)
"""The last of them lacks what says of mission i how many events it has, and when the last was."""

ACTIVE: LiteralString = """
    lateral (select i - i / %(overdue_every)s - 1 as place) as falls_due,
    lateral (
        select
            i %% 16 as events,
            %(start)s::timestamptz + make_interval(secs => case
                when i %% %(overdue_every)s = 0 then -3600
                when place >= %(steps)s * %(due)s then %(window)s + 100
                else
                    (place %% %(steps)s + 0.05 + 0.85 * (place / %(steps)s) / %(due)s)
                    * %(window)s / %(steps)s
            end - case i %% 2 when 0 then 900 else 720 end) as last_at
    ) as state,
    generate_series(0, events) as event
    """
"""The limits are config.json's: on the way 600 s * 1.5, at a point (300 s + 180 s) * 1.5."""
FINISHED: LiteralString = """
    lateral (
        select
            17 as events,
            %(start)s::timestamptz - interval '2 days'
            - interval '88 days' * ((%(missions)s - i)::float8 / %(missions)s) as last_at
    ) as state,
    generate_series(0, events) as event
    """


class WrongCount(Exception):
    """Not exactly what the fleet was built to have due was found: no figure is to be trusted."""

    @classmethod
    def unless(cls, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise cls(f"{what}: {found}, not {expected}")


def short(number: int) -> str:
    """1000000 is 1M, 10000 is 10k."""
    return re.sub("000$", "k", re.sub("000000$", "M", str(number)))


@dataclass(frozen=True)
class Fleet:
    """A fleet's measures, and what is due in it when: `due` missions at each step."""

    active: int
    finished_events: int
    due: int
    start: datetime
    database: str = ""

    @property
    def label(self) -> str:
        return f"{short(self.active)} +{short(self.finished_events)}"

    @property
    def overdue(self) -> int:
        """How many missions are overdue, and notified, at the start."""
        return self.active // OVERDUE_EVERY

    @property
    def steps(self) -> int:
        return (self.active - self.overdue) // self.due

    def moment(self, step: int) -> datetime:
        """After the deadlines of a step, before those of the next; step -1 is the start."""
        if not -1 <= step < self.steps:
            raise WrongCount(f"a fleet of {self.active} has no step {step}")
        return self.start + WINDOW * max((step + 0.95) / self.steps, 0)


def clocked(action: Callable[..., object], *args: object) -> float:
    """The seconds that a call takes."""
    started = time.perf_counter()
    action(*args)
    return time.perf_counter() - started


class Session:
    """One long-lived connection to a fleet. Parameters are filled in here, so that statements are
    planned for just these values."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.connection = psycopg.connect(
            conninfo, autocommit=True, cursor_factory=psycopg.ClientCursor
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.connection.close()

    def execute(self, statement: str, parameters: Any = None) -> None:
        self.connection.execute(statement, parameters)

    def value(self, statement: str, parameters: Any = None) -> Any:
        """The first column of the first row."""
        row = self.connection.execute(statement, parameters).fetchone()
        return row and row[0]

    def timed(self, statement: str, parameters: Any = None) -> tuple[float, Any]:
        """The seconds of a round trip as an application sees it, with a statement that psycopg
        has prepared, as it does after the first few; and the first value of its answer."""
        cursor = psycopg.Cursor(self.connection)
        started = time.perf_counter()
        row = cursor.execute(statement, parameters).fetchone()
        return time.perf_counter() - started, row and row[0]

    def detect(self, as_of: datetime, expected: int) -> float:
        """The seconds of a pass that finds so many, and looks at no others. Raises WrongCount."""
        seconds, found = self.timed(DETECT, [as_of])
        WrongCount.unless(f"newly overdue as of {as_of}", found, expected)
        WrongCount.unless("missions looked at", self.value(LOOKED_AT), expected)
        return seconds

    def pages(self, statement: str, parameters: Any = None) -> int:
        """How many pages a statement reads, its functions' included; it is executed."""
        explain = f"explain (analyze, buffers, format json) {statement}"
        plan = self.value(explain, parameters)[0]["Plan"]
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


class Databases:
    """Makes the fleets' databases; whatever can be copied is loaded once."""

    def __init__(self, server: Postgres, config: Mapping[str, Any], report: Report) -> None:
        self._server = server
        self._report = report
        self._admin = Session(server.conninfo("postgres"))
        self._histories: dict[int, str] = {0: TEMPLATE}
        self._count = 0
        self._admin.execute(f"create database {TEMPLATE}")
        with patch.dict(os.environ, DATABASE_URL=server.conninfo(TEMPLATE)):
            migrate()
        with self.session(TEMPLATE) as session:
            session.execute("select scooters_ops.apply_config(%s)", [json.dumps(config)])

    def session(self, database: str) -> Session:
        return Session(self._server.conninfo(database))

    def settled(self, fleet: Fleet) -> Fleet:
        """A database whose overdue missions are notified: passes have been running."""
        fleet = self.woken(fleet)
        with self.session(fleet.database) as session:
            self._report.begin(f"first pass over {fleet.label}")
            found = session.value("select scooters_ops.detect_timeouts(%s)", [fleet.start])
            WrongCount.unless("overdue from the start", found, fleet.overdue)
            session.execute("vacuum analyze")
        return fleet

    def woken(self, fleet: Fleet) -> Fleet:
        """A database where every mission is to be looked at, and none ever was."""
        finished = fleet.finished_events // EVENTS_OF_A_FINISHED_MISSION
        if finished not in self._histories:
            self._histories[finished] = self.copied(TEMPLATE)
            self._load(self._histories[finished], fleet, "finished", "completed", finished)
        database = self.copied(self._histories[finished])
        self._load(database, fleet, "mission", "active", fleet.active)
        with self.session(database) as session:
            session.execute(
                "insert into scooters_ops.mission_wakeups (mission_id, due_at) select mission_id,"
                " '-infinity' from scooters_ops.missions where status = 'active'"
            )
            session.execute("vacuum analyze")
        return replace(fleet, database=database)

    def copied(self, database: str) -> str:
        """The name of a copy of a database that nobody is connected to."""
        self._count += 1
        copied = f"bench_{self._count}"
        self._admin.execute(f"create database {copied} template {database} strategy file_copy")
        return copied

    @contextmanager
    def copy(self, database: str) -> Iterator[Session]:
        """A session with a copy of a database; both last as long as the block."""
        copied = self.copied(database)
        try:
            with self.session(copied) as session:
                yield session
        finally:
            self._admin.execute(f"drop database {copied} with (force)")

    def _load(self, database: str, fleet: Fleet, name: str, status: str, missions: int) -> None:
        """Without triggers, a chunk of missions at a time."""
        self._report.begin(f"loading {missions:,} {status} missions", missions)
        facts = {"prefix": f"{name}-", "status": status, "missions": missions, "due": fleet.due}
        facts |= {"start": fleet.start, "steps": fleet.steps, "window": WINDOW.total_seconds()}
        facts |= {"overdue_every": OVERDUE_EVERY}
        *plan, events = PLAN
        with self.session(database) as session:
            session.execute("set session_replication_role = replica")
            for first in range(1, missions + 1, CHUNK):
                chunk = facts | {"first": first, "last": min(first + CHUNK - 1, missions)}
                for statement in (*plan, events + (ACTIVE if status == "active" else FINISHED)):
                    session.execute(statement, chunk)
                self._report.advance(CHUNK)


@dataclass(frozen=True)
class Turns:
    """How often things take turns."""

    quick: int = 201  # what costs microseconds
    passes: int = 25  # what needs a step of the fleet each; small fleets have fewer
    few: int = 7  # what takes about a second, or some work to prepare
    slow: int = 5  # what concerns a whole large fleet, and takes many seconds
    events: int = 60_000  # inserted in one turn by batches; a tenth of that one by one
    day: int = 60  # passes of the day


@dataclass(frozen=True)
class Bench:
    """What every figure needs. `fleets` by active missions, then finished events; `fleet` is the
    one for the figures that have a scale of their own."""

    databases: Databases
    config: Mapping[str, Any]
    fleets: Sequence[Fleet]
    fleet: Fleet
    turns: Turns
    report: Report

    def at_large(self, target: float) -> float | None:
        """A target that is meant for LARGE fleets; another's figures have none."""
        return target if self.fleet.active == LARGE else None

    def count(
        self, name: str, measured: float, unit: str, target: float | None, scale: str = ""
    ) -> None:
        """Adds a figure that was counted."""
        self.report.add(Figure(name, scale or self.fleet.label, measured, unit, target))

    def ratio(
        self,
        name: str,
        measured: Sequence[float],
        beside: Sequence[float],
        target: float | None,
        *,
        scale: str = "",
        at_least: bool = False,
        unit: str = "s",
    ) -> None:
        """Adds a figure: the median of what was measured over the median of what ran beside it."""
        over, under = median(measured), median(beside)
        turns = min(len(measured), len(beside))
        detail = f"{over:.3g} {unit} against {under:.3g} {unit}"
        scale = scale or self.fleet.label
        figure = Figure(name, scale, over / under, "×", target, at_least, turns, detail)
        self.report.add(figure)
