"""Serves the board on a database with missions in every state."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import uvicorn
from fastapi import FastAPI
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from notifier.database import jsonb as documents
from notifier.resources import ROOT
from notifier.web.board.router import board_router
from notifier.web.pool import DatabaseAway, RightLacking
from tests.conftest import TestDatabase

REFRESH_SECONDS = 0.5
LOGIN = "duty_analyst"
"""A user whose only role is scooters_ops_analyst."""


@dataclass
class Rows:
    """Queries the database as that user, and remembers the queries."""

    conninfo: str
    queries: list[str] = field(default_factory=list)
    is_away: bool = False
    answers: list[dict[str, Any]] | None = None
    """What it answers without a query; None: it queries."""

    async def __call__(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        self.queries.append(query)
        if self.is_away:
            raise DatabaseAway("the database cannot be reached")
        if self.answers is not None:
            return self.answers
        try:
            async with await psycopg.AsyncConnection.connect(
                self.conninfo, autocommit=True, row_factory=dict_row
            ) as connection:
                set_json_loads(documents.loads, connection)
                return await (await connection.execute(query, parameters or None)).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            raise RightLacking("the database's user lacks a role") from None
        except psycopg.OperationalError:
            raise DatabaseAway("the database cannot be reached") from None


@dataclass(frozen=True)
class Served:
    """A board that answers at `url`."""

    database: TestDatabase
    rows: Rows
    url: str


@contextmanager
def serving(
    database: TestDatabase, locale: str = "en", refresh_seconds: float = REFRESH_SECONDS
) -> Iterator[Served]:
    """Serves the board's router alone on a free port."""
    database.connection.execute(
        f"do $$ begin create role {LOGIN} login in role scooters_ops_analyst;"
        " exception when duplicate_object then null; end $$"
    )
    rows = Rows(make_conninfo(database.conninfo, user=LOGIN))
    app = FastAPI(docs_url=None, redoc_url=None)
    zone = ZoneInfo("Europe/Moscow")
    router = board_router(rows, locale, zone, refresh_seconds=refresh_seconds)
    app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Served(database, rows, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


def travel(
    database: TestDatabase, mission_id: str, *events: tuple[str, float], **facts: Any
) -> None:
    """Creates a mission with the points p1 to p4, each with ten minutes of travel and one battery
    (limits: 15 and 7.5 minutes), and records its events.

    events  (event, minutes ago): "start", "end", "p1" for an arrival, "-p1" for a departure
    facts   the mission's attributes, such as performer_name and city
    """
    mission = {
        "mission_id": mission_id,
        "performer_id": f"c-{mission_id}",
        "attributes": facts,
        "points": [
            {
                "point_id": f"p{n}",
                "eta_seconds": 600,
                "jobs": [{"job_id": "j1", "type": "battery_exchange"}],
            }
            for n in range(1, 5)
        ],
    }
    database.value("select scooters_ops.create_mission(%s)", json.dumps(mission))
    now = datetime.now(UTC)
    for event, minutes in events:
        kind = {"start": "mission_started", "end": "mission_completed"}.get(event)
        point = None if kind else event.removeprefix("-")
        database.value(
            "select scooters_ops.record_event(%s, %s, %s, %s)",
            mission_id,
            kind or ("point_completed" if event.startswith("-") else "point_arrived"),
            point,
            now - timedelta(minutes=minutes),
        )


LONG = "0b5c1f6e-5d7a-4c6e-9a51-6f1f0e9d2c11/2026-11-26/petropavlovsk-kamchatsky-evening-shift"
"""A mission with identifiers that are wider than a phone."""

NAMES = (
    *("Anna Karelina", "Boris Godunov", "Vera Pavlova", "Gleb Uspensky", "Dina Rubina"),
    *("Egor Letov", "Zhanna Arc", "Igor Sikorsky", "Kira Muratova", "Lev Termen"),
    *("Mila Jovovich", "Nikita Kozhemyaka"),
)
CITIES = ("Moscow", "Kazan", "Sochi")


def fleet(database: TestDatabase) -> None:
    """Couriers on time, late and very late, and recipients sent, retrying, in doubt and failed;
    notifications that wait for an escalation, were escalated, acknowledged, and resolved."""
    apply = "select scooters_ops.apply_config(%s)"
    config = json.loads((ROOT / "config.json").read_text("utf-8"))
    everybody = [{"type": "telegram", "chat_id": -1001}, {"type": "st", "queue": "DUTY"}]
    config["routes"] = [
        {
            "match": {},
            "recipients": everybody,
            "escalate": [
                {"after_seconds": 1800, "recipients": [{"type": "telegram", "chat_id": -1009}]},
                {"after_seconds": 3600, "recipients": [{"type": "st", "queue": "LEADS"}]},
            ],
            "remind": {"every_seconds": 1200, "times": 2},
        }
    ]
    database.value(apply, json.dumps(config))
    for n, name in enumerate(NAMES):
        facts = {"performer_name": name, "city": CITIES[n % 3], "zone": ("North", "Centre")[n % 2]}
        ago = 3.1 * n + 0.7
        if n % 2:
            events = [("start", ago + 28), ("p1", ago + 19), ("-p1", ago + 13), ("p2", ago)]
        else:
            events = [("start", ago + 41), ("p1", ago + 30), ("-p1", ago + 24), ("p2", ago + 11)]
            events += [("-p2", ago + 5)]
        travel(database, f"m-{n + 101}", *events, **facts)
    travel(database, "m-201", ("start", 65), ("p1", 51), ("-p1", 46), performer_name="Olga Knipper",
           city="Moscow")  # fmt: skip
    travel(database, LONG, ("start", 33), performer_name="Bartholomew Featherstonehaugh-Smith",
           city="Petropavlovsk-Kamchatsky", zone="Oktyabrskaya-embankment")  # fmt: skip
    travel(database, "m-204", ("start", 30), performer_name="Rita Resolved", city="Sochi")
    travel(database, "m-202", performer_name="Not Started", city="Moscow")
    travel(database, "m-203", ("start", 20), ("p1", 12), ("end", 2), performer_name="Over And Done")
    database.value("select scooters_ops.skip_job('m-104', 'p3', 'j1')")
    database.value("select scooters_ops.detect_timeouts()")
    database.value("select scooters_ops.plan_deliveries(100)")
    states = (
        "update scooters_ops.notification_recipients set attempts = 1, state = 'sent',"
        " sent_at = now(), reference = case channel when 'st' then 'DUTY-' else '' end"
        " || recipient_id where step = 'alert'",
        # The half hour is over for m-201.
        "update scooters_ops.notification_recipients set attempts = 1, state = 'sent',"
        " sent_at = now(), reference = '77'"
        " where step = 'escalation_1' and notification_id = (select notification_id"
        " from scooters_ops.notifications where mission_id = 'm-201')",
        "update scooters_ops.notification_recipients set state = 'pending', sent_at = null,"
        " attempts = 3, reference = null, next_attempt_at = now() + interval '1 min',"
        " last_error = '502 Bad Gateway' where recipient_id = 2",
        "update scooters_ops.notification_recipients set state = 'in_doubt', sent_at = null,"
        " reference = null, last_error = 'no answer in 30 s' where recipient_id = 3",
        "update scooters_ops.notification_recipients set state = 'failed', sent_at = null,"
        " reference = null, last_error = 'Forbidden: bot was kicked from the group chat'"
        " where recipient_id = 5",
    )
    for statement in states:
        database.connection.execute(statement)
    late = database.value(
        "select idempotency_token from scooters_ops.notifications where mission_id = 'm-106'"
        " and type <> 'job_skipped'"
    )
    database.value("select scooters_ops.acknowledge(%s, 'Nadezhda Dispatcher')", late)
    for event, point in (("point_arrived", "p1"), ("mission_completed", None)):
        database.value("select scooters_ops.record_event('m-204', %s, %s)", event, point)
        database.value("select scooters_ops.detect_timeouts()")
