"""Advice for whoever sets thresholds: how many a day at which factor, how long intervals last, and
how long jobs take. The answers are computed a second time in Python."""

from __future__ import annotations

import csv
import io
import json
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
import pytest

from notifier.cli import main
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, shared_database

FACTORS = (1.2, 1.5, 2, 3)
SINCE = datetime(2026, 11, 10, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=7)
WINDOW = (SINCE, UNTIL)
MINIMUMS = {"timeout_in_point": 400, "timeout_between_points": 700}
WINTER = {
    "name": "winter",
    "match": {"city": "Omsk"},
    "timeouts": {"timeout_in_point": {"minimum_seconds": 900}},
    "job_eta_seconds": {"pickup": 240},
}
SETTINGS: dict[str, Any] = {
    "detection__overrides": [WINTER],
    **{f"detection__timeouts__{type}__minimum_seconds": n for type, n in MINIMUMS.items()},
    "notifier__time_zone": "UTC",
}
JOB_ETAS = {"pickup": 180, "battery_exchange": 300, "polish": 300}  # polish: the default


@dataclass(frozen=True)
class Interval:
    """A recorded interval, with the jobs at its point: type, own eta, status."""

    mission_id: str
    type: str
    point_id: str
    started_at: datetime
    seconds: float | None
    eta_seconds: float | None
    rule: str | None
    city: str | None
    jobs: tuple[tuple[str, float | None, str], ...]

    @property
    def counts(self) -> bool:
        return (
            self.seconds is not None
            and self.eta_seconds is not None
            and SINCE <= self.started_at < UNTIL
        )


def intervals(seed: int, count: int) -> list[Interval]:
    """Some of them begin outside the window, are open, or have no eta, or exactly reach a limit."""
    source = random.Random(seed)
    made = []
    for n in range(count):
        eta = source.choice([None, 0, 60, 300, 333.3, 600, 600, 900])
        city = source.choice(["Omsk", "Moscow", "Moscow", "Москва", None])
        seconds = source.choice(
            [
                None,
                round(source.expovariate(1 / 700), 3),
                round(source.expovariate(1 / 700), 3),
                (eta or 100) * source.choice(FACTORS),
                float(source.choice(list(MINIMUMS.values()))),
            ]
        )
        own_eta = source.choice([None, None, None, 77.0])
        types = source.sample([*JOB_ETAS], source.choice([1, 1, 1, 2]))
        made.append(
            Interval(
                f"m{n}",
                source.choice([*MINIMUMS]),
                "p1",
                SINCE + timedelta(minutes=source.randrange(-600, 7 * 1440 + 600)),
                seconds,
                eta,
                source.choice([None, "winter", "gone"]) if city == "Omsk" else None,
                city,
                tuple(
                    (type, own_eta, source.choice(["completed"] * 9 + ["skipped"]))
                    for type in types
                    for _ in range(source.choice([1, 1, 2]))
                ),
            )
        )
    return made


def store(database: TestDatabase, made: list[Interval]) -> None:
    with database.connection.cursor() as cursor:
        cursor.executemany(
            "insert into scooters_ops.missions (mission_id, performer_id, attributes)"
            " values (%s, 'c1', %s)",
            [
                (each.mission_id, json.dumps({"city": each.city} if each.city else {}))
                for each in made
            ],
        )
        cursor.executemany(
            "insert into scooters_ops.mission_points (mission_id, point_id, position, eta)"
            " values (%s, 'p1', 1, '1 min')",
            [(each.mission_id,) for each in made],
        )
        cursor.executemany(
            "insert into scooters_ops.mission_jobs"
            " (mission_id, point_id, job_id, type, eta, status)"
            " values (%s, 'p1', %s, %s, %s * interval '1 s', %s)",
            [
                (each.mission_id, f"j{n}", type, eta, status)
                for each in made
                for n, (type, eta, status) in enumerate(each.jobs)
            ],
        )
        cursor.executemany(
            "insert into scooters_ops.recorded_intervals (mission_id, type, is_judged,"
            " from_point_id, point_id, started_at, finished_at, eta, factor, rule, time_limit)"
            " values (%s, %s, true, 'p1', 'p1', %s, %s, %s * interval '1 s', 1.5, %s, null)",
            [
                (
                    each.mission_id,
                    each.type,
                    each.started_at,
                    None
                    if each.seconds is None
                    else each.started_at + timedelta(seconds=each.seconds),
                    each.eta_seconds,
                    each.rule,
                )
                for each in made
            ],
        )
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    database.connection.execute("analyze")


# --- The same, in Python -------------------------------------------------------------------------


def grouped(
    made: list[Interval], attribute: str | None
) -> Iterator[tuple[str, str | None, list[Interval]]]:
    by_key: dict[tuple[str, str | None], list[Interval]] = defaultdict(list)
    for each in made:
        if each.counts:
            by_key[each.type, each.city if attribute else None].append(each)
    for (type, value), found in by_key.items():
        yield type, value, found


def minimum(each: Interval) -> float:
    if each.rule == "winter" and each.type == "timeout_in_point":
        return 900
    return MINIMUMS[each.type]


def is_overdue(each: Interval, factor: float, least: float) -> bool:
    assert each.seconds is not None
    assert each.eta_seconds is not None
    limit = max(round(each.eta_seconds * factor * 1e6), round(least * 1e6))
    return round(each.seconds * 1e6) > limit


def expected_effects(made: list[Interval], attribute: str | None, days: float) -> set[Any]:
    return {
        (
            type,
            value,
            float(factor),
            round(sum(is_overdue(each, factor, minimum(each)) for each in found) / days, 3),
            round(sum(is_overdue(each, factor, 0) for each in found) / days, 3),
            len(found),
            len(found) < 30,
        )
        for type, value, found in grouped(made, attribute)
        for factor in FACTORS
    }


def lowest(values: list[float], share: float) -> float:
    """The least value that this share does not exceed."""
    return next(
        value for n, value in enumerate(sorted(values), 1) if n >= share * len(values) - 1e-9
    )


def expected_percentiles(made: list[Interval], attribute: str | None) -> dict[Any, Any]:
    answers = {}
    for type, value, found in grouped(made, attribute):
        ratios = [
            round(each.seconds * 100 / each.eta_seconds) / 100
            for each in found
            if each.eta_seconds and each.seconds is not None
        ]
        if ratios:
            assert lowest(ratios, 0.5) == statistics.median_low(ratios)
            shares = (0.5, 0.75, 0.9, 0.95, 0.99)
            answers[type, value] = (*(lowest(ratios, share) for share in shares), len(ratios))
    return answers


def half_up(median: float, configured: float) -> float:
    """PostgreSQL rounds a half up."""
    ratio = Decimal(median) / Decimal(configured)
    return float(ratio.quantize(Decimal("0.01"), ROUND_HALF_UP))


def expected_jobs(made: list[Interval]) -> dict[Any, Any]:
    times: dict[Any, list[float]] = defaultdict(list)
    single: Counter[Any] = Counter()
    left_out: Counter[Any] = Counter()
    for each in made:
        if not each.counts or each.type != "timeout_in_point":
            continue
        rule = "winter" if each.rule == "winter" else None
        types = {type for type, _, _ in each.jobs}
        if len(types) == 1 and all(
            eta is None and status != "skipped" for _, eta, status in each.jobs
        ):
            key = rule, *types
            times[key].append(round((each.seconds or 0) / len(each.jobs)))
            single[key] += len(each.jobs) == 1
        else:
            left_out.update((rule, type) for type in types)
    answers = {}
    for rule, type in times.keys() | left_out.keys():
        key = rule, type
        configured = 240 if key == ("winter", "pickup") else JOB_ETAS[type]
        median = statistics.median_low(times[key]) if times[key] else None
        answers[key] = (
            configured,
            median,
            None if median is None else half_up(median, configured),
            len(times[key]),
            single[key],
            left_out[key],
            len(times[key]) < 30,
        )
    return answers


# --- What the database says ----------------------------------------------------------------------


def effects(database: TestDatabase, attribute: str | None, window: Any = WINDOW) -> set[Any]:
    return {
        (
            row["type"],
            row["value"],
            float(row["factor"]),
            float(row["a_day"]),
            float(row["a_day_without_minimum"]),
            row["intervals"],
            row["is_few"],
        )
        for row in database.rows(
            "select type::text, value, factor, a_day, a_day_without_minimum, intervals, is_few"
            " from scooters_ops.threshold_effects(%s, %s, %s)",
            *window,
            attribute,
        )
    }


def percentiles(database: TestDatabase, attribute: str | None) -> dict[Any, Any]:
    return {
        (row["type"], row["value"]): (
            *(float(row[name]) for name in ("p50", "p75", "p90", "p95", "p99")),
            row["intervals"],
        )
        for row in database.rows(
            "select *, type::text from scooters_ops.ratio_percentiles(%s, %s, %s)",
            *WINDOW,
            attribute,
        )
    }


def jobs(database: TestDatabase) -> dict[Any, Any]:
    return {
        (row["rule"], row["job_type"]): (
            row["configured_eta"].total_seconds(),
            None if row["suggested_eta"] is None else row["suggested_eta"].total_seconds(),
            None if row["ratio"] is None else float(row["ratio"]),
            row["intervals"],
            row["single_job_intervals"],
            row["left_out"],
            row["is_few"],
        )
        for row in database.rows("select * from scooters_ops.job_eta_advice(%s, %s)", *WINDOW)
    }


# --- Tests ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> list[Interval]:
    return intervals(16, 900)


@pytest.fixture(scope="module")
def recorded(cluster: Postgres, made: list[Interval]) -> Iterator[TestDatabase]:
    """These intervals, read as an analyst who may change nothing."""
    with shared_database(cluster) as database:
        database.apply_config(**SETTINGS)
        store(database, made)
        database.connection.execute("set role scooters_ops_analyst")
        database.connection.execute("set default_transaction_read_only = on")
        yield database
        database.connection.execute("reset role")


@pytest.mark.parametrize("attribute", [None, "city", "no such"])
def test_how_many_a_day_at_which_factor_is_what_python_counts(
    recorded: TestDatabase, made: list[Interval], attribute: str | None
) -> None:
    expected = expected_effects(made, attribute if attribute == "city" else None, 7)
    assert effects(recorded, attribute) == expected
    advice = recorded.rows(
        "select type::text, value, factor, a_day, intervals"
        " from scooters_ops.threshold_advice(%s, %s, attribute => %s)",
        *WINDOW,
        attribute,
    )
    assert {
        (row["type"], row["value"], float(row["factor"]), float(row["a_day"]), row["intervals"])
        for row in advice
    } == {(*row[:4], row[5]) for row in expected}
    assert [float(row["factor"]) for row in advice[:4]] == [*FACTORS]


@pytest.mark.parametrize("attribute", [None, "city"])
def test_how_many_times_its_eta_an_interval_lasts_is_what_python_counts(
    recorded: TestDatabase, made: list[Interval], attribute: str | None
) -> None:
    assert percentiles(recorded, attribute) == expected_percentiles(made, attribute)


def test_how_long_jobs_take_is_what_python_counts(
    recorded: TestDatabase, made: list[Interval]
) -> None:
    expected = expected_jobs(made)
    assert jobs(recorded) == expected
    assert {rule for rule, _ in expected} == {None, "winter"}
    assert {row[-1] for row in expected.values()} == {True, False}


def test_only_the_days_that_are_recorded_divide(recorded: TestDatabase) -> None:
    days = "select distinct days from scooters_ops.threshold_effects(%s, %s)"
    first = recorded.value("select min(started_at) from scooters_ops.interval_history")
    day = first.replace(hour=0, minute=0, second=0)
    covered = "select covered_from, covered_until from scooters_ops.covered_time(%s, %s)"
    long_ago = SINCE - timedelta(days=300)
    assert recorded.rows(covered, long_ago, UNTIL) == [
        {"covered_from": day, "covered_until": UNTIL}
    ]
    assert recorded.values(days, long_ago, UNTIL) == [(UNTIL - day).days]
    assert recorded.rows(covered, SINCE, datetime(2036, 1, 1, tzinfo=UTC)) == [
        {"covered_from": SINCE, "covered_until": UNTIL + timedelta(days=1)}
    ]
    # Less than a day says nothing of a day.
    assert recorded.values(days, SINCE, SINCE + timedelta(hours=6)) == [1]
    assert recorded.rows(covered, long_ago, day) == []
    assert recorded.rows(days, long_ago, day) == []


@pytest.mark.parametrize(
    "question",
    [
        "threshold_advice",
        "threshold_effects",
        "ratio_percentiles",
        "job_eta_advice",
        "covered_time",
    ],
)
def test_a_window_that_is_none_is_refused(recorded: TestDatabase, question: str) -> None:
    for since, until, state, culprit in (
        (SINCE, SINCE, "22023", "since must be before until"),
        (None, SINCE, "22004", "since must not be null"),
        (SINCE, None, "22004", "until must not be null"),
    ):
        with pytest.raises(psycopg.DataError, match=f"^{culprit}") as error:
            recorded.rows(
                f"select * from scooters_ops.{question}(%s::timestamptz, %s::timestamptz)",
                since,
                until,
            )
        assert error.value.sqlstate == state


# --- notifier advice -----------------------------------------------------------------------------

SHOWN = ("--since", "2026-11-10", "--until", "2026-11-17T00:00Z")


def test_the_command_prints_each_part_and_marks_what_rests_on_few_intervals(
    recorded: TestDatabase,
    made: list[Interval],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", recorded.conninfo)

    def said(*arguments: str) -> str:
        assert main(["advice", *SHOWN, *arguments]) == 0
        return capsys.readouterr().out

    found = json.loads(said("--attribute", "city", "--output", "json"))
    assert (found["covered_from"], found["covered_until"]) == (
        "2026-11-10T00:00:00+00:00",
        "2026-11-17T00:00:00+00:00",
    )
    assert {
        (
            row["type"],
            row["value"],
            float(row["factor"]),
            float(row["a_day"]),
            float(row["a_day_without_minimum"]),
            row["intervals"],
            row["is_few"],
        )
        for row in found["thresholds"]
    } == expected_effects(made, "city", 7)
    assert {row["intervals"] for row in found["ratios"]} == {
        row[-1] for row in expected_percentiles(made, "city").values()
    }
    assert {
        (row["rule"], row["job_type"]): (row["configured_eta_seconds"], row["is_few"])
        for row in found["jobs"]
    } == {key: (row[0], row[-1]) for key, row in expected_jobs(made).items()}

    rows = [*csv.DictReader(io.StringIO(said("--only", "jobs", "--output", "csv")))]
    assert [row["configured_eta"] for row in rows if row["job_type"] == "pickup"] == [
        "00:03:00",
        "00:04:00",
    ]
    shown = said("--only", "jobs").splitlines()
    assert shown[0].startswith("Recorded from 2026-11-10T00:00:00+00:00 until ")
    assert [line.endswith("  few") for line in shown[4:-1]] == [
        row["is_few"] == "true" for row in rows
    ]
    assert shown[-1] == "few: fewer than 30 intervals, little more than chance"
    assert main(["advice", "--since", "2020-01-01", "--until", "2020-02-01"]) == 0
    assert capsys.readouterr().out.startswith("nothing is recorded from 2020-01-01T00:00:00+00:00")
