"""Seven couriers and what happens to them, told to the database as the mission service would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg


@dataclass(frozen=True)
class Courier:
    """A mission of three points: 10 minutes of travel to each, one battery of 5 minutes at each.

    events  (type, point or None, minutes ago), in the order in which they are recorded
    skips   the point where the courier skips the job
    """

    mission_id: str
    name: str
    story: str
    events: Sequence[tuple[str, str | None, float]]
    skips: str | None = None


FLEET = (
    Courier(
        "anna",
        "Anna",
        "on time, at her second point",
        (
            ("mission_started", None, 25),
            ("point_arrived", "p1", 16),
            ("point_completed", "p1", 11),
            ("point_arrived", "p2", 2),
        ),
    ),
    Courier(
        "fedor",
        "Fedor",
        "on time, all done",
        (
            ("mission_started", None, 50),
            ("point_arrived", "p1", 40),
            ("point_completed", "p1", 35),
            ("point_arrived", "p2", 25),
            ("point_completed", "p2", 21),
            ("point_arrived", "p3", 11),
            ("point_completed", "p3", 6),
            ("mission_completed", None, 6),
        ),
    ),
    Courier(
        "boris",
        "Boris",
        "too long at a point",
        (
            ("mission_started", None, 40),
            ("point_arrived", "p1", 31),
            ("point_completed", "p1", 27),
            ("point_arrived", "p2", 18),
        ),
    ),
    Courier(
        "vera",
        "Vera",
        "too long on the way",
        (
            ("mission_started", None, 45),
            ("point_arrived", "p1", 37),
            ("point_completed", "p1", 33),
        ),
    ),
    Courier(
        "gleb",
        "Gleb",
        "skips a job",
        (
            ("mission_started", None, 20),
            ("point_arrived", "p1", 12),
            ("point_completed", "p1", 8),
        ),
        skips="p2",
    ),
    Courier(
        "dina",
        "Dina",
        "too long at a point; her events came late, in the wrong order, one of them twice",
        (
            ("mission_completed", None, 1),
            ("point_completed", "p1", 3),
            ("point_arrived", "p1", 23),
            ("point_arrived", "p1", 5),
            ("mission_started", None, 30),
        ),
    ),
    Courier(
        "egor",
        "Egor",
        "within the limit when the demo began, over it 4 seconds later",
        (
            ("mission_started", None, 16),
            ("point_arrived", "p1", 7.5 - 4 / 60),
        ),
    ),
)
"""The limits are 15 minutes on the way and 7.5 minutes at a point."""

EXPECTED_TOKENS = frozenset(
    {
        "boris_p2__timeout_in_point",
        "vera_p2__timeout_between_points",
        "gleb_p2_battery_job_skipped",
        "dina_p1__timeout_in_point",
        "egor_p1__timeout_in_point",
    }
)
"""The notifications that the fleet leads to."""


def play(connection: psycopg.Connection[Any], courier: Courier) -> None:
    """Create the courier's mission, record its events and skip its job."""
    now = datetime.now(UTC)
    mission = {
        "mission_id": courier.mission_id,
        "performer_id": f"courier-{courier.mission_id}",
        "attributes": {"performer_name": courier.name, "city": "Moscow"},
        "points": [
            {
                "point_id": point_id,
                "eta_seconds": 600,
                "jobs": [{"job_id": "battery", "type": "battery_exchange"}],
            }
            for point_id in ("p1", "p2", "p3")
        ],
    }
    connection.execute("select scooters_ops.create_mission(%s)", (json.dumps(mission),))
    for type_, point_id, minutes_ago in courier.events:
        connection.execute(
            "select scooters_ops.record_event(%s, %s, %s, %s)",
            (courier.mission_id, type_, point_id, now - timedelta(minutes=minutes_ago)),
        )
    if courier.skips is not None:
        connection.execute(
            "select scooters_ops.skip_job(%s, %s, 'battery')", (courier.mission_id, courier.skips)
        )


LEFT, SKIPPED = "boris_p2__timeout_in_point", "gleb_p2_battery_job_skipped"


def play_afterwards(connection: psycopg.Connection[Any]) -> None:
    """Boris leaves his point, and Olga takes care of the job that Gleb has skipped."""
    connection.execute("select scooters_ops.record_event('boris', 'point_completed', 'p2')")
    connection.execute("select scooters_ops.acknowledge(%s, 'Olga')", (SKIPPED,))
