"""One embedded PostgreSQL for each worker; a new database for each test, cloned from a template
that was migrated once."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.rows import dict_row, scalar_row

from notifier.resources import ROOT
from sandbox.databases import create_migrated
from sandbox.postgres import Postgres

pytest_plugins = ["tests.delivery_rigs", "tests.router_rigs"]
"""Their fixtures `house` and `router_rig`."""

TEMPLATE = "template_scooters"
CONFIG: dict[str, Any] = json.loads((ROOT / "config.json").read_text("utf-8"))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""Tests give times in minutes from here."""


# Servers keep their files in memory where there is room: most of a clone's cost is the disk's.
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """Choose where servers keep their files, and let child processes cache their bytecode."""
    config.addinivalue_line(
        "markers", "slow(seconds=1): takes so many seconds; make test QUICK=1 leaves it out"
    )
    if "TMPDIR" not in os.environ and _has_room(MEMORY):
        # Not for tmp_path, whose scripts must be executable: /dev/shm is often mounted noexec.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # read TMPDIR again
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every worker start with its share of the slow tests: the last one to end should be
    short, and a test that waits should not wait after another one.

    --dist worksteal gives each worker the next part of the list. A worker that has finished takes
    from the end of another one's part, where the quick tests are.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    together: dict[tuple[Path, float], list[pytest.Item]] = {}
    for item in items:
        if seconds := _seconds(item):
            together.setdefault((item.path, seconds), []).append(item)
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    for tests in sorted(together.values(), key=_load, reverse=True):
        least = loads.index(min(loads))
        shares[least] += tests
        loads[least] += _load(tests)
    quick = [item for item in items if not _seconds(item)]
    left = len(items)
    for number, share in enumerate(shares):
        size = left // (workers - number)
        left -= size
        missing = max(0, size - len(share))
        share += quick[:missing]
        del quick[:missing]
    items[:] = [item for share in shares for item in share] + quick


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("slow")
    return float(marker.kwargs.get("seconds", 1)) if marker else 0


def _load(tests: list[pytest.Item]) -> float:
    """Seconds that tests of one file take: the first one sets up what they share."""
    return _seconds(tests[0]) + len(tests) - 1


def _has_room(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= ROOM_BYTES


# Results do not depend on the speed of the machine.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

PATIENCE_SECONDS = 300.0
"""Timeout of every wait: longer than anything takes on a busy machine."""


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition is true; fail after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.02)


def at(minutes: float) -> datetime:
    """The time this many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def config(**changes: Any) -> dict[str, Any]:
    """config.json with changes. Two underscores separate the parts of a path:
    config(detection__timeouts__timeout_in_point__factor=2)."""
    changed = copy.deepcopy(CONFIG)
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = changed
        for parent in parents:
            place = place[parent]
        place[key] = value
    return changed


@dataclass(frozen=True)
class TestDatabase:
    """A migrated database with config.json in force."""

    __test__ = False
    cluster: Postgres
    name: str
    connection: psycopg.Connection[Any]
    """As superuser, in autocommit mode."""

    @property
    def conninfo(self) -> str:
        return self.cluster.conninfo(self.name)

    @property
    def environment(self) -> dict[str, str]:
        return self.cluster.environment(self.name)

    def connect(self, *, role: str | None = None) -> psycopg.Connection[Any]:
        """Open another connection in autocommit mode; the caller closes it."""
        connection = psycopg.connect(self.conninfo, autocommit=True)
        if role is not None:
            connection.execute(f"set role {role}")
        return connection

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Run a query; return its rows as dictionaries."""
        cursor = self.connection.cursor(row_factory=dict_row)
        return cursor.execute(query, parameters or None).fetchall()

    def value(self, query: str, *parameters: Any) -> Any:
        """Run a query; return the first column of its first row."""
        cursor = self.connection.cursor(row_factory=scalar_row)
        return cursor.execute(query, parameters or None).fetchone()

    def values(self, query: str, *parameters: Any) -> list[Any]:
        """Run a query; return the first column of every row."""
        cursor = self.connection.cursor(row_factory=scalar_row)
        return cursor.execute(query, parameters or None).fetchall()

    def apply_config(self, **changes: Any) -> int:
        """Apply config(**changes); return its config_id."""
        return int(
            self.value("select scooters_ops.apply_config(%s)", json.dumps(config(**changes)))
        )

    def create_mission(
        self,
        mission_id: str = "m1",
        points: int = 3,
        *,
        eta_minutes: float = 10,
        jobs: int = 1,
        attributes: dict[str, Any] | None = None,
    ) -> str:
        """Create a mission with points p1, p2, ..., each with jobs j1, j2, ... of the type
        battery_exchange (eta: 5 min)."""
        mission = {
            "mission_id": mission_id,
            "performer_id": "c1",
            "attributes": attributes or {},
            "points": [
                {
                    "point_id": f"p{point}",
                    "eta_seconds": eta_minutes * 60,
                    "jobs": [
                        {"job_id": f"j{job}", "type": "battery_exchange"}
                        for job in range(1, jobs + 1)
                    ],
                }
                for point in range(1, points + 1)
            ],
        }
        return str(self.value("select scooters_ops.create_mission(%s)", json.dumps(mission)))

    def record(
        self, type: str, minutes: float, point_id: str | None = None, mission_id: str = "m1"
    ) -> int:
        """Record an event at this many minutes after noon; return its history_id."""
        return int(
            self.value(
                "select scooters_ops.record_event(%s, %s, %s, %s)",
                mission_id,
                type,
                point_id,
                at(minutes),
            )
        )

    def detect(self, minutes: float) -> int:
        """Run a pass as of this many minutes after noon; return how many notifications it
        inserted."""
        return int(self.value("select scooters_ops.detect_timeouts(%s)", at(minutes)))

    def tokens(self) -> list[str]:
        """The tokens of all notifications, in alphabetical order."""
        return sorted(
            self.values("select idempotency_token from scooters_ops.monitoring_notifications")
        )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    """A running PostgreSQL with the template database; pg_cron is in the database postgres."""
    for name in [*os.environ]:
        if name.startswith("PG") or name == "DATABASE_URL":
            del os.environ[name]
    with Postgres() as server:
        create_migrated(server, TEMPLATE)
        with psycopg.connect(server.conninfo(TEMPLATE), autocommit=True) as connection:
            connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(CONFIG),))
        yield server


_numbers = count(1)
_finished: list[str] = []
"""Databases to drop before the next one is created. By then their backends have ended: dropping a
database that still has one takes 0.1 s longer."""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what the command line changes in the logging of its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@contextmanager
def shared_database(cluster: Postgres, template: str = TEMPLATE) -> Iterator[TestDatabase]:
    """A copy of a database that nobody is connected to. Tests that share it must roll back."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        while _finished:
            admin.execute(f"drop database if exists {_finished.pop()} with (force)")
        admin.execute(f"create database {name} template {template} strategy file_copy")
        with psycopg.connect(cluster.conninfo(name), autocommit=True) as connection:
            # The template may be old, and detection must not look stalled.
            connection.execute("update scooters_ops.configs set applied_at = now()")
            yield TestDatabase(cluster, name, connection)
        _finished.append(name)


@pytest.fixture
def database(cluster: Postgres) -> Iterator[TestDatabase]:
    """A database for one test."""
    with shared_database(cluster) as own:
        yield own
