"""What the tests of detection share: tokens, missions under way, wake-ups, open transactions.

The missions have points p1, p2, ... with 10 minutes of travel to each and one job of 5 minutes at
each. The factor is 1.5, so travel may last 15 minutes and a stay 7.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg

from tests.conftest import TestDatabase

MICROSECOND = 1 / 60_000_000
"""One microsecond, in minutes."""
TRAVEL_TO_P1 = "m1_p1__timeout_between_points"
TRAVEL_TO_P2 = "m1_p2__timeout_between_points"
TRAVEL_TO_P3 = "m1_p3__timeout_between_points"
STAY_AT_P1 = "m1_p1__timeout_in_point"
STAY_AT_P2 = "m1_p2__timeout_in_point"
APPLY_CONFIG = "select scooters_ops.apply_config(%s)"
DETECT = "select scooters_ops.detect_timeouts(%s)"
ADD_EVENTS = (
    "insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at) values "
)


def started(database: TestDatabase, mission_id: str = "m1", minutes: float = 0) -> None:
    """A mission that started the given number of minutes after noon."""
    database.create_mission(mission_id)
    database.record("mission_started", minutes, mission_id=mission_id)


def wakeups(database: TestDatabase) -> list[tuple[str, datetime | str]]:
    """The mission and due_at of every wake-up; -infinity and infinity as text."""
    rows = database.rows(
        "select mission_id, due_at::text from scooters_ops.mission_wakeups as wakeup"
        " order by mission_id, wakeup.due_at"
    )
    return [
        (
            row["mission_id"],
            row["due_at"] if "inf" in row["due_at"] else datetime.fromisoformat(row["due_at"]),
        )
        for row in rows
    ]


@contextmanager
def held_open(database: TestDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose transaction stays open during the block. It is rolled back at the end,
    unless the block committed it."""
    connection = psycopg.connect(database.conninfo)
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()
