"""Four days of real events (../shared/realdata/flights, see the README there): every interval and
every notification equals the recorded answer."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

import psycopg
import pytest
from psycopg.types.json import Jsonb

from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests import reference
from tests.conftest import TestDatabase, config, shared_database
from tests.reference import BETWEEN_POINTS, IN_POINT

FLIGHTS = ROOT.parent / "shared" / "realdata" / "flights"
AS_OF = datetime(2030, 1, 1, tzinfo=UTC)
DEFAULT_JOB_ETA = timedelta(seconds=config()["detection"]["default_job_eta_seconds"])

pytestmark = pytest.mark.skipif(not FLIGHTS.is_dir(), reason=f"{FLIGHTS} is not there")


class Timeout(NamedTuple):
    mission_id: str
    point_id: str
    type: str
    started_at: datetime
    finished_at: datetime | None
    limit_seconds: float


def recorded(table: str) -> Iterator[dict[str, str]]:
    """The rows of one of the files."""
    with gzip.open(FLIGHTS / f"{table}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def seconds(text: str) -> timedelta:
    return timedelta(seconds=int(text))


def expected(factor: float) -> Counter[Timeout]:
    """The recorded answer."""
    return Counter(
        Timeout(
            row["mission_id"],
            row["point_id"],
            row["type"],
            datetime.fromisoformat(row["started_at"]),
            datetime.fromisoformat(row["finished_at"]) if row["finished_at"] else None,
            float(row["limit_seconds"]),
        )
        for row in recorded("expected")
        if float(row["factor"]) == factor
    )


@cache
def fleet() -> list[tuple[reference.Mission, list[reference.Event]]]:
    """The recorded missions with their events, for the reference."""
    jobs = defaultdict(list)
    for row in recorded("jobs"):
        eta = seconds(row["eta_seconds"]) if row["eta_seconds"] else None
        jobs[row["mission_id"], row["point_id"]].append(reference.Job(row["type"], eta))
    points = defaultdict(list)
    for row in recorded("points"):
        points[row["mission_id"]].append(
            reference.Point(
                row["point_id"],
                int(row["position"]),
                seconds(row["eta_seconds"]),
                tuple(jobs[row["mission_id"], row["point_id"]]),
            )
        )
    histories = defaultdict(list)
    for row in sorted(recorded("history"), key=lambda row: int(row["history_id"])):
        histories[row["mission_id"]].append(
            reference.Event(
                row["type"],
                row["point_id"] or None,
                datetime.fromisoformat(row["occurred_at"]),
            )
        )
    missions = [
        reference.Mission(row["mission_id"], tuple(points[row["mission_id"]]), row["status"])
        for row in recorded("missions")
    ]
    return [(mission, histories[mission.mission_id]) for mission in missions]


def computed(factor: float) -> Counter[Timeout]:
    """The answer of the reference to the recorded events."""
    rule = reference.Rule(factor)
    rules = reference.Config({IN_POINT: rule, BETWEEN_POINTS: rule}, {}, DEFAULT_JOB_ETA)
    return Counter(
        Timeout(
            interval.mission_id,
            interval.point_id,
            interval.type,
            interval.started_at,
            interval.finished_at,
            interval.limit.total_seconds(),
        )
        for mission, history in fleet()
        for interval in reference.intervals(mission, history, rules, AS_OF)
        if interval.is_overdue and interval.limit is not None
    )


LOAD = """
insert into scooters_ops.missions (mission_id, performer_id, status, created_at)
select mission_id, performer_id, status, created_at from missions;
insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
select mission_id, point_id, position, make_interval(secs => eta_seconds) from points;
insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, eta)
select mission_id, point_id, job_id, type, make_interval(secs => eta_seconds) from jobs;
insert into scooters_ops.missions_history (history_id, mission_id, point_id, type, occurred_at)
select history_id, mission_id, point_id, type, occurred_at from history;
"""
# The plan; the events wait in a table of their own.
LOAD_PLAN = LOAD.partition("insert into scooters_ops.missions_history")[0] + (
    "create table log as select * from history;"
)
EVENTS = 137_802
EVENTS_A_PASS = 3_500
ARRIVE = """
insert into scooters_ops.missions_history (history_id, mission_id, point_id, type, occurred_at)
select history_id, mission_id, point_id, type, occurred_at from log
order by history_id offset %s limit %s
"""
FACTS = "mission_id, point_id, type, started_at, finished_at, from_point_id"
DIFFERENCES = f"""
(select {FACTS}, eta, factor, time_limit, deadline from scooters_ops.mission_intervals_at(%s)
except
select {FACTS}, eta, factor, time_limit, deadline from scooters_ops.interval_history)
union all
(select {FACTS}, eta, factor, time_limit, deadline from scooters_ops.interval_history
except
select {FACTS}, eta, factor, time_limit, deadline from scooters_ops.mission_intervals_at(%s))
"""
UNRESOLVED = """
select * from scooters_ops.notifications
inner join scooters_ops.interval_history using (idempotency_token)
where (finished_at is null) <> (resolved_at is null)
"""
COLUMN_TYPES = {
    "position": "int",
    "eta_seconds": "int",
    "history_id": "bigint",
    "created_at": "timestamptz",
    "occurred_at": "timestamptz",
}


def load(connection: psycopg.Connection[tuple[object, ...]], statements: str = LOAD) -> None:
    """Loads the set into the tables."""
    with connection.transaction(), connection.cursor() as cursor:
        for table in ("missions", "points", "jobs", "history"):
            with gzip.open(FLIGHTS / f"{table}.csv.gz") as file:
                names = file.readline().decode().strip().split(",")
                columns = ", ".join(f"{name} {COLUMN_TYPES.get(name, 'text')}" for name in names)
                cursor.execute(f"create temp table {table} ({columns}) on commit drop")
                with cursor.copy(f"copy {table} from stdin (format csv)") as copy:
                    while block := file.read(1 << 20):
                        copy.write(block)
        cursor.execute(statements)


@pytest.fixture(scope="module")
def loaded(cluster: Postgres) -> Iterator[TestDatabase]:
    """A database with the whole set, for tests that roll back what they change."""
    with shared_database(cluster) as database:
        load(database.connection)
        yield database


@pytest.fixture
def flights(loaded: TestDatabase) -> Iterator[TestDatabase]:
    """The whole set, freshly loaded."""
    with loaded.connection.transaction(force_rollback=True):
        yield loaded


def apply_factor(database: TestDatabase, factor: float) -> None:
    """Applies one factor for both types, and no notify_within."""
    database.apply_config(
        detection__notify_within_seconds=None,
        detection__timeouts__timeout_in_point__factor=factor,
        detection__timeouts__timeout_between_points__factor=factor,
    )


def tokens(timeouts: Counter[Timeout]) -> list[str]:
    """The tokens of these timeouts; no identifier in the set has a character to be escaped."""
    return sorted(
        f"{timeout.mission_id}_{timeout.point_id}__{timeout.type}" for timeout in timeouts
    )


def timeouts(database: TestDatabase, source: str) -> Counter[Timeout]:
    """The rows of a view."""
    return Counter(
        Timeout(**row)
        for row in database.rows(
            "select mission_id, point_id, type::text, started_at, finished_at,"
            f" extract(epoch from time_limit)::float8 as limit_seconds from {source}"
        )
    )


@pytest.mark.parametrize(("factor", "count"), [(1.5, 6239), (2.0, 2404)])
def test_the_view_gives_exactly_the_recorded_timeouts(
    flights: TestDatabase, factor: float, count: int
) -> None:
    apply_factor(flights, factor)
    seen = timeouts(flights, "scooters_ops.mission_timeouts")
    answer = expected(factor)
    assert answer.total() == count
    assert seen == answer


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_the_reference_gives_exactly_the_recorded_timeouts(factor: float) -> None:
    assert computed(factor) == expected(factor)


@pytest.mark.slow
def test_a_pass_notifies_each_recorded_timeout_once_and_a_lower_factor_adds_the_open_ones(
    flights: TestDatabase,
) -> None:
    apply_factor(flights, 2.0)
    answer = expected(2.0)
    assert pass_over(flights) == answer.total()
    assert flights.tokens() == tokens(answer)
    assert pass_over(flights) == 0

    apply_factor(flights, 1.5)
    still_open = Counter(timeout for timeout in expected(1.5) if timeout.finished_at is None)
    added = set(tokens(still_open)) - set(tokens(answer))
    assert pass_over(flights) == len(added)
    assert set(flights.tokens()) == added | set(tokens(answer))


@pytest.mark.slow(seconds=8)
def test_a_backtest_of_another_factor_tells_the_recorded_timeouts(flights: TestDatabase) -> None:
    apply_factor(flights, 1.5)
    assert pass_over(flights) == 6239
    for factor in (1.5, 2.0):
        flights.connection.execute("savepoint before")
        apply_factor(flights, factor)
        document = flights.value("select config from scooters_ops.config_in_force")
        flights.connection.execute("rollback to before")
        rows = flights.rows(
            "select day, type::text, would_tell, told from scooters_ops.backtest(%s, %s, %s)",
            Jsonb(document),
            datetime(2000, 1, 1, tzinfo=UTC),
            AS_OF,
        )
        for column, of_factor in (("would_tell", factor), ("told", 1.5)):
            assert +Counter({(row["day"], row["type"]): row[column] for row in rows}) == Counter(
                (timeout.started_at.astimezone(UTC).date(), timeout.type)
                for timeout in expected(of_factor).elements()
            )


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_passes_while_the_events_arrive_end_in_the_recorded_answer(
    cluster: Postgres, factor: float
) -> None:
    with shared_database(cluster) as database:
        apply_factor(database, factor)
        load(database.connection, LOAD_PLAN)
        for first in range(0, EVENTS, EVENTS_A_PASS):
            database.connection.execute(ARRIVE, (first, EVENTS_A_PASS))
            # The log is ordered by mission: as of its newest event, no mission is cut short.
            database.value(
                "select scooters_ops.detect_timeouts(occurred_at)"
                " from scooters_ops.missions_history order by history_id desc limit 1"
            )
        pass_over(database)
        answer = expected(factor)
        assert database.tokens() == tokens(answer)
        assert timeouts(database, "scooters_ops.interval_history where is_overdue") == answer
        assert database.rows(DIFFERENCES, AS_OF, AS_OF) == []
        assert database.rows(UNRESOLVED) == []


def pass_over(database: TestDatabase) -> int:
    return int(database.value("select scooters_ops.detect_timeouts(%s)", AS_OF))
