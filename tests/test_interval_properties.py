"""For any missions, plans and histories, the SQL gives the same intervals as the reference.

Every run uses the same examples. HYPOTHESIS_SEED=<another number> makes others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import astuple, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st
from psycopg.types.json import Json

from tests import reference
from tests.conftest import TestDatabase, at, config
from tests.reference import BETWEEN_POINTS, IN_POINT, Config, Event, Job, Mission, Point, Rule

pytestmark = pytest.mark.slow(seconds=10)

SEED = int(os.environ.get("HYPOTHESIS_SEED", "20261124"))
EXAMPLES = 400

# Durations and times are coarse, so that events coincide and intervals last exactly as long as
# they may.
GRAIN = timedelta(seconds=30)
durations = st.integers(0, 10).map(lambda grains: grains * GRAIN)
moments = st.integers(0, 40).map(lambda grains: at(0) + grains * GRAIN)
PLANNED = [f"p{number}" for number in range(1, 6)]
anywhere = st.sampled_from([*PLANNED, "elsewhere", "p_1\\"])

jobs = st.builds(
    Job,
    type=st.sampled_from(["battery_exchange", "pickup", "inspection"]),
    eta=st.none() | durations,
    status=st.sampled_from(["planned", "completed", "skipped", "skipped"]),
)

configs = st.builds(
    Config,
    rules=st.fixed_dictionaries(
        dict.fromkeys(
            (IN_POINT, BETWEEN_POINTS),
            st.builds(Rule, st.sampled_from([0.5, 1, 1.5, 2, 1.234]), durations),
        )
    ),
    job_etas=st.fixed_dictionaries(
        {}, optional={"battery_exchange": durations, "pickup": durations}
    ),
    default_job_eta=durations,
)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Point, ...]:
    """One to five points, at positions with gaps, in random order."""
    point_ids = draw(st.lists(st.sampled_from(PLANNED), min_size=1, max_size=5, unique=True))
    positions = draw(
        st.lists(st.integers(1, 9), min_size=len(point_ids), max_size=len(point_ids), unique=True)
    )
    return tuple(
        Point(point_id, position, draw(durations), tuple(draw(st.lists(jobs, max_size=3))))
        for point_id, position in zip(point_ids, positions, strict=True)
    )


events = st.builds(Event, st.just("point_arrived"), anywhere, moments) | st.one_of(
    st.builds(Event, st.just("point_completed"), anywhere, moments),
    st.builds(
        Event,
        st.sampled_from(
            ["mission_started", "mission_completed", "mission_cancelled", "courier_paused"]
        ),
        st.none() | anywhere,
        moments,
    ),
)


@st.composite
def journeys(draw: st.DrawFn, points: tuple[Point, ...]) -> list[Event]:
    """A regular mission: started, some points visited one by one, ended or not."""
    moment = at(0)
    story = []

    def happens(type: str, point_id: str | None) -> None:
        nonlocal moment
        moment += draw(durations)
        story.append(Event(type, point_id, moment))

    if draw(st.booleans()):
        happens("mission_started", None)
    for point in sorted(points, key=lambda point: point.position):
        if draw(st.integers(0, 3)):
            happens("point_arrived", point.point_id)
        if draw(st.integers(0, 3)):
            happens("point_completed", point.point_id)
    if draw(st.booleans()):
        happens(draw(st.sampled_from(reference.ENDS)), None)
    return story


@st.composite
def histories(draw: st.DrawFn, points: tuple[Point, ...]) -> list[Event]:
    """Journeys with repetitions and noise, in random order of insertion."""
    story = draw(journeys(points))
    if story:
        for repeated in draw(st.lists(st.sampled_from(story), max_size=2)):
            story.append(replace(repeated, occurred_at=draw(moments)))
    story += draw(st.lists(events, max_size=4))
    return draw(st.permutations(story)) if draw(st.booleans()) else story


Case = tuple[Mission, list[Event]]


@st.composite
def fleets(draw: st.DrawFn) -> list[Case]:
    """One to three missions with their histories."""
    fleet = []
    for number in range(draw(st.integers(1, 3))):
        points = draw(plans())
        status = draw(st.sampled_from(["created", "active", "active", "completed", "cancelled"]))
        fleet.append((Mission(f"m{number}", points, status), draw(histories(points))))
    return fleet


def write(database: TestDatabase, fleet: Iterable[Case]) -> None:
    """Inserts the rows of a fleet, mission by mission, the history in order of insertion."""
    missions, points, jobs, history = [], [], [], []
    for mission, log in fleet:
        missions.append(
            (
                mission.mission_id,
                mission.performer_id,
                mission.status,
                Json({**mission.attributes}),
            )
        )
        for point in mission.points:
            points.append((mission.mission_id, point.point_id, point.position, point.eta))
            for number, job in enumerate(point.jobs):
                jobs.append((mission.mission_id, point.point_id, f"j{number}", *astuple(job)))
        history += [(mission.mission_id, *astuple(event)) for event in log]
    with database.connection.pipeline(), database.connection.cursor() as cursor:
        cursor.executemany(
            "insert into scooters_ops.missions (mission_id, performer_id, status, attributes)"
            " values (%s, %s, %s, %s)",
            missions,
        )
        cursor.executemany(
            "insert into scooters_ops.mission_points (mission_id, point_id, position, eta)"
            " values (%s, %s, %s, %s)",
            points,
        )
        cursor.executemany(
            "insert into scooters_ops.mission_jobs"
            " (mission_id, point_id, job_id, type, eta, status) values (%s, %s, %s, %s, %s, %s)",
            jobs,
        )
        cursor.executemany(
            "insert into scooters_ops.missions_history (mission_id, type, point_id, occurred_at)"
            " values (%s, %s, %s, %s)",
            history,
        )


def as_json(in_force: Config) -> str:
    """config.json with these rules and etas."""
    changed = config(
        detection__job_eta_seconds={
            type: eta.total_seconds() for type, eta in in_force.job_etas.items()
        },
        detection__default_job_eta_seconds=in_force.default_job_eta.total_seconds(),
        detection__timeouts={
            type: {
                "enabled": True,
                "factor": rule.factor,
                "minimum_seconds": rule.minimum.total_seconds(),
            }
            for type, rule in in_force.rules.items()
        },
    )
    return json.dumps(changed)


def sorted_by_text(rows: Iterable[Any]) -> list[Any]:
    """Sorted by their text, because nulls cannot be compared."""
    return sorted(rows, key=str)


def intervals_by_sql(database: TestDatabase, as_of: datetime) -> list[reference.Interval]:
    return sorted_by_text(
        reference.Interval(**row)
        for row in database.rows(
            "select mission_id, point_id, type::text, started_at, finished_at, eta,"
            ' time_limit as "limit", deadline, elapsed, is_open, is_overdue,'
            " factor::float, rule"
            " from scooters_ops.mission_intervals_at(%s)",
            as_of,
        )
    )


@seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(in_force=configs, fleet=fleets(), as_ofs=st.tuples(moments, moments, st.just(at(600))))
def test_sql_and_reference_agree_on_every_interval(
    database: TestDatabase, in_force: Config, fleet: list[Case], as_ofs: tuple[datetime, ...]
) -> None:
    note(f"HYPOTHESIS_SEED={SEED}")
    with database.connection.transaction(force_rollback=True):
        database.value("select scooters_ops.apply_config(%s)", as_json(in_force))
        write(database, fleet)
        for as_of in as_ofs:
            expected = sorted_by_text(
                interval
                for mission, history in fleet
                for interval in reference.intervals(mission, history, in_force, as_of)
            )
            assert intervals_by_sql(database, as_of) == expected, f"as of {as_of}"
