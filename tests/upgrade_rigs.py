"""Databases as earlier versions left them, and sessions that use them during an upgrade."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import scalar_row

from notifier.database.schema_version import known_migrations
from notifier.database.values import Result
from notifier.migrate import migrations
from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.conftest import TEMPLATE, TestDatabase, until

# The server cancels a statement that waits longer than this for a lock.
LOCK_TIMEOUT = "500ms"

_numbers = count(1)


@contextmanager
def new_database(cluster: Postgres, options: str = "") -> Iterator[TestDatabase]:
    """An empty database, created with these options."""
    name = f"upgrade_{next(_numbers)}"
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template template0 {options}")
        try:
            with psycopg.connect(cluster.conninfo(name), autocommit=True) as connection:
                yield TestDatabase(cluster, name, connection)
        finally:
            admin.execute(f"drop database {name} with (force)")


def migrate_to(
    database: TestDatabase, last: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Applies the migrations up to `last`, without sql/: its version of that time is not here."""
    earlier = folder / f"migrations_to_{last}"
    earlier.mkdir()
    for name in known_migrations():
        if name <= last:
            shutil.copy(ROOT / "migrations" / f"{name}.sql", earlier)
    with monkeypatch.context() as patch:
        patch.setenv("DATABASE_URL", database.conninfo)
        patch.setattr(migrations, "MIGRATIONS", earlier)
        patch.setattr(migrations, "install", lambda *_: None)
        assert migrations.migrate()[-1] == last


def fill(database: TestDatabase, cluster: Postgres, missions: int = 300) -> dict[str, Any]:
    """Inserts rows that fit every version: active missions, half of them with a notification that
    was sent to one recipient and is pending for the other; and a config.

    Returns the config as the current version would store it.
    """
    with psycopg.connect(cluster.conninfo(TEMPLATE), autocommit=True) as connection:
        row = connection.execute("select config from scooters_ops.config_in_force").fetchone()
    assert row is not None
    config: dict[str, Any] = row[0]
    for channel in config["channels"].values():
        for name, limit in channel["limits"].items():
            channel["limits"][name] = [] if isinstance(limit, list) else 1000
    stored = config
    if not has_matches(database):
        stored = before_matches(stored)
    if not has_steps(database):
        stored = before_steps(stored)
    database.connection.execute(
        "insert into scooters_ops.configs (config) values (%s)", (json.dumps(stored),)
    )
    database.connection.execute(
        """
        insert into scooters_ops.missions (mission_id, performer_id, status)
        select format('old%%s', number), 'c1', 'active'
        from generate_series(1, %(missions)s) as number;
        """,
        {"missions": missions},
    )
    database.connection.execute(
        """
        insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
        select mission_id, format('p%s', position), position, interval '10 minutes'
        from scooters_ops.missions cross join generate_series(1, 3) as position;

        insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type)
        select mission_id, point_id, 'j1', 'battery_exchange' from scooters_ops.mission_points;

        insert into scooters_ops.missions_history (mission_id, type, occurred_at)
        select mission_id, 'mission_started', now() - interval '2 hours'
        from scooters_ops.missions;

        insert into scooters_ops.mission_wakeups (mission_id, due_at)
        select mission_id, '-infinity' from scooters_ops.missions;

        insert into scooters_ops.monitoring_notifications (
            idempotency_token, mission_id, point_id, job_id, type, recipients, details, planned_at
        )
        select
            mission_id || '_p3_j1_job_skipped', mission_id, 'p3', 'j1', 'job_skipped',
            '[{"type": "telegram", "chat_id": -1001, "sended": false},
              {"type": "st", "queue": "DUTY", "sended": true}]',
            '{"skipped_at": "2026-11-24T12:00:00+00:00"}', now()
        from scooters_ops.missions
        where right(mission_id, 1)::integer % 2 = 0;

        insert into scooters_ops.notification_recipients (notification_id, channel, target)
        select notification_id, 'telegram', '{"type": "telegram", "chat_id": -1001}'
        from scooters_ops.monitoring_notifications;

        insert into scooters_ops.notification_recipients (
            notification_id, channel, target, state, attempts, reference, sent_at
        )
        select
            notification_id, 'st', '{"type": "st", "queue": "DUTY"}', 'sent', 1, 'DUTY-1', now()
        from scooters_ops.monitoring_notifications;
        """
    )
    if database.value("select to_regclass('scooters_ops.delivery_targets') is not null"):
        database.connection.execute(
            "insert into scooters_ops.delivery_targets (channel, address)"
            " values ('telegram', ''), ('st', '') on conflict do nothing"
        )
    return config


# The keys of a stored config before migration 0017.
OF_TELEGRAM = ("base_url", "in_doubt", "limits", "timeout_seconds", "token_env")
OF_TRACKER = (*OF_TELEGRAM, "api_version", "auth", "org_id_env")
OF_ROUTE = ("continue", "match", "recipients")


def before_steps(config: dict[str, Any]) -> dict[str, Any]:
    """A config as it was stored before migration 0017, which adds what it said by default."""

    def only(section: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
        return {key: value for key, value in section.items() if key in keys}

    channels = config["channels"]
    return config | {
        "channels": {
            "telegram": only(channels["telegram"], OF_TELEGRAM),
            "st": only(channels["st"], OF_TRACKER),
        },
        "routes": [only(route, OF_ROUTE) for route in config["routes"]],
    }


def before_matches(config: dict[str, Any]) -> dict[str, Any]:
    """A config as it was stored before migration 0018, which adds what it said by default."""
    new = ("calendars", "silences")
    return {key: value for key, value in config.items() if key not in new} | {
        "detection": {
            key: value for key, value in config["detection"].items() if key != "overrides"
        }
    }


def has_matches(database: TestDatabase) -> bool:
    return bool(database.value("select to_regclass('scooters_ops.compiled_matches') is not null"))


def has_steps(database: TestDatabase) -> bool:
    return bool(
        database.value(
            "select exists (select from pg_attribute where attname = 'step'"
            " and attrelid = 'scooters_ops.notification_recipients'::regclass)"
        )
    )


class Traffic:
    """Sessions that write, detect, deliver and read while a database is upgraded, each with the
    functions that the database has at that time. None may wait longer than LOCK_TIMEOUT."""

    def __init__(self, database: TestDatabase) -> None:
        self._database = database
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []
        self.written: list[str] = []
        self.turns: dict[str, int] = {}
        self.failures: list[str] = []

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Runs the sessions until the block has ended and each of them has had one more turn."""
        for name, turn in {
            "writer": self._write,
            "other writer": self._write,
            "pass": self._detect,
            "notifier": self._deliver,
            "analyst of now": self._ask,
        }.items():
            thread = threading.Thread(target=self._work, args=(name, turn))
            self._threads.append(thread)
            thread.start()
        try:
            until(lambda: self.failures or len(self.turns) == len(self._threads))
            yield
            before = dict(self.turns)
            until(
                lambda: (
                    self.failures or all(self.turns[name] > turns for name, turns in before.items())
                )
            )
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join()
        assert not self.failures, self.failures

    def _work(self, name: str, turn: Callable[[Any, str], None]) -> None:
        try:
            with self._database.connect() as connection:
                connection.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
                while not self._end.wait(0.02):
                    turn(connection, f"{name.replace(' ', '-')}-{self.turns.get(name, 0)}")
                    self.turns[name] = self.turns.get(name, 0) + 1
        except Exception as error:  # flowing() fails with it
            self.failures.append(f"{name}: {type(error).__name__}: {error}")

    def _write(self, connection: psycopg.Connection[Any], mission_id: str) -> None:
        with connection.transaction():
            if _has(connection, "skip_job(text, text, text)"):
                connection.execute(
                    "select scooters_ops.create_mission(%s)", (json.dumps(mission(mission_id)),)
                )
                connection.execute(
                    "select scooters_ops.record_event("
                    "%s, 'mission_started', occurred_at => now() - interval '2 hours')",
                    (mission_id,),
                )
                connection.execute("select scooters_ops.skip_job(%s, 'p3', 'j1')", (mission_id,))
            else:  # writes what that version's functions and triggers wrote
                connection.execute(AS_EARLIER, {"mission_id": mission_id}, prepare=False)
        self.written.append(mission_id)

    def _detect(self, connection: psycopg.Connection[Any], _: str) -> None:
        if _has(connection, "detect_timeouts(timestamptz)"):
            connection.execute("select scooters_ops.detect_timeouts()")
        else:
            connection.execute(
                "insert into scooters_ops.detection_passes"
                " (as_of, started_at, elapsed, missions, inserted)"
                " values (now(), now(), '0', 0, 0)"
            )

    def _deliver(self, connection: psycopg.Connection[Any], _: str) -> None:
        lease = "lease_deliveries(text, jsonb, double precision, jsonb"
        if _has(connection, f"{lease})") or _has(connection, f"{lease}, text[])"):
            deliver(connection)
        else:
            connection.execute(
                "update scooters_ops.notification_recipients set last_error = 'not yet'"
                " where recipient_id in ("
                "select recipient_id from scooters_ops.notification_recipients"
                " where state = 'pending' order by recipient_id limit 5 for update skip locked)"
            )

    def _ask(self, connection: psycopg.Connection[Any], _: str) -> None:
        if _has(connection, "mission_intervals_at(timestamptz)"):
            connection.execute("select count(*) from scooters_ops.mission_timeouts")
            connection.execute("select count(*) from scooters_ops.delivery_status")
        else:
            connection.execute("select count(*) from scooters_ops.notification_recipients")


@contextmanager
def slow_writer(database: TestDatabase) -> Iterator[Callable[[str], None]]:
    """A transaction that has written a mission. It commits when the upgrade calls what this yields
    and says that it waits for it. If it kept waiting, other writers would wait behind it."""
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(AS_EARLIER, {"mission_id": "slow"})
        pid = connection.info.backend_pid
        reported: list[str] = []

        def commit(line: str) -> None:
            reported.append(line)
            if f"pid {pid} " in line:
                connection.commit()

        yield commit
    assert any(f"pid {pid} " in line for line in reported)


AS_EARLIER = """
    with mission as (
        insert into scooters_ops.missions (mission_id, performer_id, status)
        values (%(mission_id)s, 'c1', 'active')
        returning mission_id
    ),
    points as (
        insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
        select mission_id, format('p%%s', position), position, interval '10 minutes'
        from mission cross join generate_series(1, 3) as position
        returning mission_id, point_id
    ),
    jobs as (
        insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type)
        select mission_id, point_id, 'j1', 'battery_exchange' from points
    ),
    event as (
        insert into scooters_ops.missions_history (mission_id, type, occurred_at)
        select mission_id, 'mission_started', now() - interval '2 hours' from mission
    )
    insert into scooters_ops.mission_wakeups (mission_id, due_at)
    select mission_id, '-infinity' from mission
"""


def mission(mission_id: str) -> dict[str, Any]:
    return {
        "mission_id": mission_id,
        "performer_id": "c1",
        "points": [
            {
                "point_id": f"p{position}",
                "eta_seconds": 600,
                "jobs": [{"job_id": "j1", "type": "battery_exchange"}],
            }
            for position in (1, 2, 3)
        ],
    }


def _has(connection: psycopg.Connection[Any], function: str) -> bool:
    row = connection.execute(
        "select to_regprocedure(%s) is not null", (f"scooters_ops.{function}",)
    ).fetchone()
    return row == (True,)


def deliver(connection: psycopg.Connection[Any]) -> int:
    """One round of a notifier all of whose messages are sent; returns their number."""
    connection.execute("select scooters_ops.plan_deliveries(1000)")
    cursor = connection.cursor(row_factory=scalar_row)
    leased = cursor.execute(
        "select leased.recipient_id"
        """ from (values (jsonb '{"telegram": 1000, "st": 1000}')) as free (slots)"""
        " cross join lateral scooters_ops.lease_deliveries('n1', slots, 60, slots) as leased"
    ).fetchall()
    sent = [vars(Result(recipient_id, "sent", reference="r")) for recipient_id in leased]
    connection.execute("select scooters_ops.record_deliveries('n1', %s)", (json.dumps(sent),))
    return len(leased)
