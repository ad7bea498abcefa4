"""The databases of the fleets, and the sessions that measure in them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

import psycopg

from sandbox.bench.fleet import (
    ACTIVE,
    EVENTS_OF_A_FINISHED_MISSION,
    FINISHED,
    OVERDUE_EVERY,
    PLAN,
    WINDOW,
    Fleet,
    WrongCount,
)
from sandbox.bench.report import Report
from sandbox.databases import create_migrated
from sandbox.postgres import Postgres

TEMPLATE = "bench_template"
CHUNK = 10_000
"""How many missions one statement loads."""

DETECT = "select scooters_ops.detect_timeouts(%s)"
LAST_EFFORT = """
    select array[missions, judged] from scooters_ops.detection_passes
    order by pass_id desc limit 1
    """
"""How many missions the last pass evaluated, and how many intervals it judged."""


def clocked(action: Callable[..., object], *args: object) -> float:
    """How many seconds a call takes."""
    started = time.perf_counter()
    action(*args)
    return time.perf_counter() - started


class Session:
    """One long-lived connection to a fleet. The client fills in the parameters, so that the server
    plans a statement for these values."""

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
        """The seconds of a round trip as an application sees it, and the first value of the answer.
        psycopg prepares the statement after a few executions."""
        cursor = psycopg.Cursor(self.connection)
        started = time.perf_counter()
        row = cursor.execute(statement, parameters).fetchone()
        return time.perf_counter() - started, row and row[0]

    def detect(self, as_of: datetime, expected: int, woken: int = 0) -> float:
        """The seconds of a pass that evaluates exactly `woken` missions, and judges exactly
        `expected` intervals, all of which are news. Raises WrongCount."""
        seconds, found = self.timed(DETECT, [as_of])
        WrongCount.unless(f"newly overdue as of {as_of}", found, expected)
        WrongCount.unless(
            "missions evaluated, intervals judged", self.value(LAST_EFFORT), [woken, expected]
        )
        return seconds

    def pages(self, statement: str, parameters: Any = None) -> int:
        """How many pages a statement and the functions in it read. Executes it."""
        explain = f"explain (analyze, buffers, format json) {statement}"
        plan = self.value(explain, parameters)[0]["Plan"]
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


class Databases:
    """Makes the fleets' databases. What several fleets share is loaded once and copied."""

    def __init__(self, server: Postgres, config: Mapping[str, Any], report: Report) -> None:
        self._server = server
        self._report = report
        self._admin = Session(server.conninfo("postgres"))
        self._histories: dict[int, str] = {0: TEMPLATE}
        self._count = 0
        create_migrated(server, TEMPLATE)
        with self.session(TEMPLATE) as session:
            session.execute("select scooters_ops.apply_config(%s)", [json.dumps(config)])

    def session(self, database: str) -> Session:
        return Session(self._server.conninfo(database))

    def settled(self, fleet: Fleet) -> Fleet:
        """A fleet whose overdue missions are notified, as if passes had been running."""
        fleet = self.unevaluated(fleet)
        with self.session(fleet.database) as session:
            self._report.begin(f"first pass over {fleet.label}")
            found = session.value("select scooters_ops.detect_timeouts(%s)", [fleet.start])
            WrongCount.unless("overdue from the start", found, fleet.overdue)
            session.execute("vacuum analyze")
        return fleet

    def unevaluated(self, fleet: Fleet) -> Fleet:
        """A fleet where every mission has a wake-up and none was ever evaluated."""
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
        """Copy a database that nobody is connected to; returns the copy's name."""
        self._count += 1
        copied = f"bench_{self._count}"
        self._admin.execute(f"create database {copied} template {database} strategy file_copy")
        return copied

    @contextmanager
    def copy(self, database: str) -> Iterator[Session]:
        """Copy a database for the length of the block; yields a session in the copy."""
        copied = self.copied(database)
        try:
            with self.session(copied) as session:
                yield session
        finally:
            self._admin.execute(f"drop database {copied} with (force)")

    def _load(self, database: str, fleet: Fleet, name: str, status: str, missions: int) -> None:
        """Load missions in chunks, without firing triggers."""
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
