"""What passes and views cost: make bench.

Every figure is a ratio to something that runs beside it, on the same server, in turns: the median
of one over the median of the other. Beside them stand the pages that a statement reads, which have
no noise. Prints a table and writes the same to build/bench.json; ends with 1 when a pass did not
find exactly what the fleet was built to have due.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from notifier.config import ROOT
from notifier.migrate import migrate
from sandbox.postgres import Postgres, find_postgres

OUTPUT = ROOT / "build" / "bench.json"
EVENTS_OF_A_FINISHED_MISSION = 18
GROUP = 100
"""So many missions become overdue together."""
PGBENCH_SECONDS = 1
CLIENTS = (1, 8)
FACTOR = 20
"""So high that a fleet stays midway as long as the benchmark lasts."""
SELECT_ONE = "select 1"
DETECT = "select scooters_ops.detect_timeouts(%s)"
MAKE_ALL_DUE = (
    "insert into scooters_ops.mission_wakeups"
    " select mission_id, '-infinity' from scooters_ops.missions where status = 'active'"
)
READ_ALL = """
select
    (select count(*) + max(length(mission_id || performer_id || status))
     from scooters_ops.missions),
    (select count(*) + max(length(mission_id || point_id) + position)
     + max(extract(epoch from eta)) from scooters_ops.mission_points),
    (select count(*) + max(length(mission_id || point_id || type || status))
     from scooters_ops.mission_jobs),
    (select count(*) + max(length(mission_id || point_id || type))
     + max(extract(epoch from occurred_at)) from scooters_ops.missions_history)
"""
INSERT_EVENTS = """\\set first random(1, :missions)
insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
select 'mission-' || :first + n, 'point-1', 'point_arrived', now()
from generate_series(1, :batch) as n;
"""
"""For pgbench: events that repeat themselves, of missions that follow each other."""
INSERT_FROM_VIEW = """
insert into scooters_ops.monitoring_notifications
    (idempotency_token, mission_id, point_id, type, details)
select
    scooters_ops.idempotency_token(mission_id, point_id, null, type),
    mission_id,
    point_id,
    type,
    jsonb_build_object('started_at', started_at, 'limit_seconds', extract(epoch from time_limit))
from scooters_ops.mission_intervals_at(%s)
where is_overdue
on conflict (idempotency_token) do nothing
"""


@dataclass(frozen=True)
class Figure:
    """One row of the table: `measured` in the unit of the name, a ratio unless it says else."""

    name: str
    scale: str
    measured: float
    target: float | None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        holds = self.measured >= self.target if self.at_least else self.measured <= self.target
        return "ok" if holds else "MISSED"

    @property
    def cells(self) -> tuple[str, ...]:
        sign = ">=" if self.at_least else "<="
        target = "" if self.target is None else f"{sign} {self.target:g}"
        return self.name, self.scale, f"{self.measured:,.2f}", target, self.verdict


@dataclass(frozen=True)
class Scale:
    """How large the fleet is, and how much finished history it meets, in two steps."""

    missions: int
    histories: tuple[int, int]
    """Events of finished missions."""
    rounds: int = 7

    @property
    def name(self) -> str:
        return _short(self.missions)

    @property
    def overdue(self) -> int:
        """How many missions of the fleet are overdue from the start."""
        every = self.missions // GROUP
        return sum(i % 33 == 0 and i % every != 1 for i in range(1, self.missions + 1))


SCALES = {
    "1k": Scale(1_000, (0, 1_000_000)),
    "10k": Scale(10_000, (0, 1_000_000)),
    "100k": Scale(100_000, (0, 1_000_000)),
    "1M": Scale(1_000_000, (1_000_000, 10_000_000)),
}
FULL = "1k,10k,100k,1M"
THE_LARGE_FIGURES_AT = 100_000


def _short(number: int) -> str:
    if number >= 1_000_000:
        return f"{number // 1_000_000}M"
    return f"{number // 1000}k" if number >= 1000 else str(number)


class WrongCount(Exception):
    """A pass did not find what the fleet was built to have due."""


class Bench:
    """A fleet on a database of its own, and what is measured on it."""

    def __init__(self, conninfo: str, scale: Scale, report: Report) -> None:
        self.conninfo = conninfo
        self.scale = scale
        self.report = report
        self.connection = psycopg.connect(conninfo, autocommit=True)
        self.start = datetime.now(UTC).replace(microsecond=0)
        self.due = self.start + timedelta(seconds=2)
        """A moment at which GROUP missions are newly overdue."""
        self.history = 0

    # --- the fleet ---

    def load(self, script: str, missions: int, first: int = 1) -> None:
        """Runs a script that fills the tables, without triggers, and then ANALYZEs them."""
        parameters = {"missions": missions, "first": first, "start": self.start}
        text = (Path(__file__).parent / script).read_text("utf-8")
        statements = [part for part in text.split(";\n") if part.strip()]
        self.execute("set session_replication_role = replica")
        for n, statement in enumerate(statements):
            self.report.progress(f"loading {_short(missions)} missions", n, len(statements))
            with psycopg.ClientCursor(self.connection) as cursor:
                cursor.execute(statement, parameters)
        self.execute("reset session_replication_role")
        self.vacuum()
        self.report.progress("", 1, 1)

    def vacuum(self) -> None:
        self.execute("vacuum analyze")

    def execute(self, statement: str, *parameters: Any) -> None:
        self.connection.execute(statement, parameters or None)

    def ask(self, statement: str, *parameters: Any) -> Any:
        """The first column of the first row; the statement is prepared."""
        row = self.connection.execute(statement, parameters or None, prepare=True).fetchone()
        assert row is not None
        return row[0]

    def detect(self, as_of: datetime, expected: int) -> None:
        found = self.ask(DETECT, as_of)
        if found != expected:
            raise WrongCount(f"a pass found {found} newly overdue, not {expected}")

    def forget_group(self) -> None:
        """Lets the GROUP missions become overdue once more."""
        self.execute(
            "with forgotten as (delete from scooters_ops.monitoring_notifications"
            " where (details ->> 'finished_at') is null"
            " and created_at > %s and mission_id in (select 'mission-' || i"
            " from generate_series(1, %s::int, %s::int) as i) returning mission_id)"
            " insert into scooters_ops.mission_wakeups select mission_id, %s from forgotten",
            self.start,
            self.scale.missions,
            self.scale.missions // GROUP,
            self.due,
        )

    # --- measuring ---

    def buffers(self, statement: str) -> int:
        """The pages that a statement reads, those of the functions that it calls included."""
        plan = self.connection.execute(
            f"explain (analyze, buffers, format json) {statement}"
        ).fetchone()
        assert plan is not None
        top = plan[0][0]["Plan"]
        return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])

    def add(
        self, name: str, measured: float, target: float | None = None, *, at_least: bool = False
    ) -> None:
        self.report.add(Figure(name, self.label, measured, target, at_least))

    @property
    def label(self) -> str:
        return f"{self.scale.name}+{_short(self.history)}"

    def measure_passes(self) -> dict[str, float]:
        """Nothing due, and GROUP missions newly overdue, beside select 1; their ratios."""
        ones, nothing, newly = [], [], []
        for _ in range(4 * self.scale.rounds):
            self.forget_group()
            ones.append(_seconds(lambda: self.ask(SELECT_ONE)))
            newly.append(_seconds(lambda: self.detect(self.due, GROUP)))
            nothing.append(_seconds(lambda: self.detect(self.due, 0)))
        ratios = {
            "pass, nothing due, to select 1": median(nothing) / median(ones),
            "pass, 100 newly overdue, to select 1": median(newly) / median(ones),
        }
        for (name, ratio), target in zip(ratios.items(), (5, 40), strict=True):
            self.add(name, ratio, target)
        self.vacuum()
        for name, expected, divisor, target in (
            ("pass, nothing due, pages", 0, 1, 80),
            ("pass, 100 newly overdue, pages a mission", GROUP, GROUP, 100),
        ):
            pages = []
            for _ in range(3):  # the first of a session reads the catalog besides
                if expected:
                    self.forget_group()
                pages.append(self.buffers(_literal(DETECT, self.due)))
            self.add(name, median(pages) / divisor, target)
        return ratios

    def measure_one_mission(self) -> None:
        """Of the mission with the most events that is midway."""
        query = "select * from scooters_ops.mission_intervals where mission_id = 'mission-15'"
        one, asked = self.in_turns(
            lambda: self.ask(SELECT_ONE), lambda: self.ask(query), rounds=4 * self.scale.rounds
        )
        self.add("mission_intervals of one mission, to select 1", asked / one, 3)
        self.add("mission_intervals of one mission, pages", self.buffers(query), 80)

    def measure_fresh_session(self) -> None:
        """As pg_cron runs passes: each in a session of its own."""

        def session(statement: str) -> None:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                connection.execute(statement)

        ones, passes = [], []
        for _ in range(self.scale.rounds):
            self.forget_group()
            ones.append(_seconds(lambda: session(SELECT_ONE)))
            passes.append(_seconds(lambda: session(_literal(DETECT, self.due))))
        self.add(
            "pass, 100 newly overdue, to select 1, new session each", median(passes) / median(ones)
        )

    def in_turns(self, *subjects: Callable[[], object], rounds: int | None = None) -> list[float]:
        """The median seconds of each, having run in turns."""
        seconds: list[list[float]] = [[] for _ in subjects]
        for _ in range(rounds or self.scale.rounds):
            for subject, taken in zip(subjects, seconds, strict=True):
                taken.append(_seconds(subject))
        return [median(taken) for taken in seconds]

    def measure_large(self) -> None:
        """What evaluates the whole fleet, in turns with what it is compared with."""
        factors = iter(range(1000))

        def view_pass() -> None:
            self.execute("begin")
            self.connection.execute(INSERT_FROM_VIEW, (datetime.now(UTC),))
            self.execute("rollback")

        def timeouts() -> None:
            self.ask("select count(*) from scooters_ops.mission_timeouts")

        def storm() -> None:
            self.execute(MAKE_ALL_DUE)
            self.execute("call scooters_ops.detect_in_batches()")

        def config_change() -> None:
            self.execute(
                "select scooters_ops.apply_config(jsonb_set(config,"
                " '{detection,default_job_eta_seconds}', to_jsonb(301 + %s)))"
                " from scooters_ops.config_in_force",
                next(factors),
            )
            self.execute("call scooters_ops.detect_in_batches()")

        subjects = {
            "pass": lambda: self.detect(self.due, GROUP),
            "reading": lambda: self.ask(READ_ALL),
            "timeouts": timeouts,
            "view pass": view_pass,
            "seed worker": lambda: seed_worker(self.connection, datetime.now(UTC)),
            "storm": storm,
            "config change": config_change,
        }
        taken: dict[str, list[float]] = defaultdict(list)
        for n in range(self.scale.rounds):
            for m, (name, subject) in enumerate(subjects.items()):
                done = n * len(subjects) + m
                self.report.progress(name, done, self.scale.rounds * len(subjects))
                self.forget_group()
                taken[name].append(_seconds(subject))
                self.execute("vacuum scooters_ops.mission_wakeups")
        self.report.progress("", 1, 1)
        cost = {name: median(seconds) for name, seconds in taken.items()}
        self.add(
            "mission_timeouts of all, to reading the rows", cost["timeouts"] / cost["reading"], 3
        )
        self.add(
            "seed worker to pass, 100 newly overdue",
            cost["seed worker"] / cost["pass"],
            1000,
            at_least=True,
        )
        self.add(
            "plain view pass to pass, 100 newly overdue",
            cost["view pass"] / cost["pass"],
            200,
            at_least=True,
        )
        self.add(
            "storm of all missions, to plain view pass", cost["storm"] / cost["view pass"], 1.5
        )
        self.add(
            "config change, to plain view pass", cost["config change"] / cost["view pass"], 1.5
        )
        longest = self.ask("select max(missions) from scooters_ops.recent_detection_passes")
        bound = self.ask("select detection_batch_size from scooters_ops.config_in_force")
        self.add("largest pass of a storm, missions", longest, bound)

    def measure_inserts(self) -> None:
        """Events a second with the trigger, as a share of those without it."""
        switch = "alter table scooters_ops.missions_history {} trigger wake_for_inserted_history"
        for clients in CLIENTS:
            for batch in (1, 1000):
                rates: dict[str, list[float]] = {"disable": [], "enable": []}
                for _ in range(self.scale.rounds):
                    for state, measured in rates.items():
                        self.execute(switch.format(state))
                        measured.append(self.insert_rate(clients, batch))
                self.execute(
                    "delete from scooters_ops.missions_history where occurred_at > %s", self.start
                )
                self.add(
                    f"inserting events by {batch:,}, clients: {clients}, trigger to none",
                    median(rates["enable"]) / median(rates["disable"]),
                    0.75,
                    at_least=True,
                )
        self.execute(MAKE_ALL_DUE)
        self.execute("call scooters_ops.detect_in_batches()")
        self.vacuum()

    def insert_rate(self, clients: int, batch: int) -> float:
        """Transactions a second of pgbench's clients, each inserting a batch."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(INSERT_EVENTS)
            file.flush()
            command = [str(find_postgres() / "pgbench"), "-n", "-M", "prepared"]
            command += ["-T", str(PGBENCH_SECONDS)]
            command += ["-c", str(clients), "-j", str(min(clients, 2)), "-f", file.name]
            command += ["-D", f"missions={self.scale.missions}", "-D", f"batch={batch}"]
            finished = subprocess.run(
                [*command, self.conninfo], capture_output=True, text=True, check=False
            )
        rate = re.search(r"^tps = ([0-9.]+)", finished.stdout, re.MULTILINE)
        if finished.returncode or rate is None:
            raise RuntimeError(f"pgbench failed: {finished.stderr}")
        return float(rate[1])

    def measure_day(self) -> None:
        """The wake-ups after a day: 24 times a tenth of the fleet writes, in slices of 1,000 with
        a pass after each; vacuum comes each hour, as autovacuum does after 5,000 dead ones."""

        def pass_of_group() -> float:
            self.execute(
                "insert into scooters_ops.mission_wakeups select 'mission-' || n, '-infinity'"
                " from generate_series(1, %s) as n",
                GROUP,
            )
            return _seconds(lambda: self.detect(datetime.now(UTC), 0))

        def size() -> float:
            return float(self.ask("select pg_total_relation_size('scooters_ops.mission_wakeups')"))

        self.execute("vacuum full scooters_ops.mission_wakeups")
        self.vacuum()
        pass_of_group()
        ones = [_seconds(lambda: self.ask(SELECT_ONE)) for _ in range(28)]
        before, size_before = [pass_of_group() for _ in range(14)], size()
        slice_size = min(self.scale.missions // 10, 1000)
        for hour in range(24):
            self.report.progress("a day", hour, 24)
            for first in range(0, self.scale.missions // 10, slice_size):
                self.execute(
                    "insert into scooters_ops.missions_history (mission_id, type, occurred_at)"
                    " select 'mission-' || (%s + n * 10), 'mission_started', now()"
                    " from generate_series(%s::int + 1, %s::int) as n",
                    hour % 10,
                    first,
                    first + slice_size,
                )
                self.detect(datetime.now(UTC), 0)
            self.execute("vacuum analyze scooters_ops.mission_wakeups")
        self.report.progress("", 1, 1)
        ones_after = [_seconds(lambda: self.ask(SELECT_ONE)) for _ in range(28)]
        after, size_after = [pass_of_group() for _ in range(14)], size()
        self.add(
            "a pass after a day, to one before it",
            (median(after) / median(ones_after)) / (median(before) / median(ones)),
            1.2,
        )
        self.add("mission_wakeups after a day, to before it, size", size_after / size_before, 3)

    def run(self) -> None:
        self.load_fleet()
        ratios = {}
        for history in self.scale.histories:
            finished = self.history // EVENTS_OF_A_FINISHED_MISSION
            added = history // EVENTS_OF_A_FINISHED_MISSION - finished
            if added:
                self.load("bench_history.sql", added, finished + 1)
            self.history = history
            ratios[history] = self.measure_passes()
        few, many = self.scale.histories
        for name, ratio in ratios[few].items():
            self.add(
                f"{name.removesuffix(', to select 1')}, {_short(many)} finished events to"
                f" {_short(few)}",
                ratios[many][name] / ratio,
                1.1,
            )
        self.measure_one_mission()
        self.measure_fresh_session()
        self.connection.close()

    def run_large(self) -> None:
        """What needs the whole fleet, without finished history."""
        self.load_fleet()
        self.measure_large()
        self.measure_inserts()
        self.measure_day()
        self.connection.close()

    def load_fleet(self) -> None:
        """The fleet in its steady state: all that is overdue has been notified."""
        self.load("bench_fleet.sql", self.scale.missions)
        self.detect(self.start, self.scale.overdue)
        self.detect(self.due, GROUP)
        self.vacuum()


def seed_worker(connection: psycopg.Connection[Any], as_of: datetime) -> int:
    """The customer's own plan, as an application worker: fetches the active missions with their
    plan and events, computes in Python, inserts with on conflict. Open intervals only."""
    config = connection.execute("select config from scooters_ops.config_in_force").fetchone()
    assert config is not None
    detection = config[0]["detection"]
    rules, job_etas = detection["timeouts"], detection["job_eta_seconds"]
    dwell: dict[tuple[str, str], float] = defaultdict(float)
    for mission_id, point_id, type, eta in connection.execute(
        "select mission_id, point_id, type, extract(epoch from eta)::float8"
        " from scooters_ops.mission_jobs join scooters_ops.missions using (mission_id)"
        " where missions.status = 'active'"
    ):
        planned = job_etas.get(type, detection["default_job_eta_seconds"])
        dwell[mission_id, point_id] += planned if eta is None else eta
    route: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for mission_id, point_id, eta in connection.execute(
        "select mission_id, point_id, extract(epoch from eta)::float8"
        " from scooters_ops.mission_points join scooters_ops.missions using (mission_id)"
        " where missions.status = 'active' order by mission_id, position"
    ):
        route[mission_id].append((point_id, eta))
    last: dict[str, tuple[str, str | None, datetime]] = {}
    visited: dict[str, set[str | None]] = defaultdict(set)
    for mission_id, point_id, type, occurred_at in connection.execute(
        "select mission_id, point_id, missions_history.type, occurred_at"
        " from scooters_ops.missions_history join scooters_ops.missions using (mission_id)"
        " where missions.status = 'active' order by occurred_at, history_id"
    ):
        last[mission_id] = (type, point_id, occurred_at)
        visited[mission_id].add(point_id)
    overdue = []
    for mission_id, (type, point_id, occurred_at) in last.items():
        if type == "point_arrived" and point_id is not None:
            kind, at, eta = "timeout_in_point", point_id, dwell[mission_id, point_id]
        else:
            ahead = [(p, eta) for p, eta in route[mission_id] if p not in visited[mission_id]]
            if not ahead:
                continue
            kind, (at, eta) = "timeout_between_points", ahead[0]
        limit = max(eta * rules[kind]["factor"], rules[kind]["minimum_seconds"])
        if (as_of - occurred_at).total_seconds() > limit:
            overdue.append((f"{mission_id}_{at}__{kind}", mission_id, at, kind))
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into scooters_ops.monitoring_notifications"
            " (idempotency_token, mission_id, point_id, type) values (%s, %s, %s, %s)"
            " on conflict (idempotency_token) do nothing",
            overdue,
        )
    return len(overdue)


class Report:
    """The table as it grows, and the bar below it."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self._is_terminal = sys.stderr.isatty()

    def add(self, figure: Figure) -> None:
        if not self.figures:
            self._line(
                "figure (ratios of medians, unless it says else)", "scale", "measured", "target", ""
            )
        self.figures.append(figure)
        self._line(*figure.cells)

    def _line(self, name: str, scale: str, measured: str, target: str, verdict: str) -> None:
        print(f"{name:<64} {scale:>8} {measured:>10} {target:>8}  {verdict}".rstrip(), flush=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """A bar on a terminal, nothing elsewhere."""
        if self._is_terminal:
            bar = "" if not what else f"[{'#' * (20 * done // total):<20}] {what}"
            print(f"\r\x1b[K{bar}", end="", file=sys.stderr, flush=True)

    def write(self, path: Path, server: str) -> None:
        path.parent.mkdir(exist_ok=True)
        document = {
            "postgresql": server,
            "python": sys.version.split()[0],
            "cores": os.cpu_count(),
            "figures": [asdict(figure) | {"verdict": figure.verdict} for figure in self.figures],
        }
        path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _seconds(subject: Callable[[], object]) -> float:
    started = time.perf_counter()
    subject()
    return time.perf_counter() - started


def _literal(statement: str, moment: datetime) -> str:
    return statement.replace("%s", f"'{moment.isoformat()}'")


@contextmanager
def _database(server: Postgres, name: str) -> Iterator[str]:
    """A migrated database with config.json in force, dropped at the end."""
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name}")
        conninfo = server.conninfo(name)
        os.environ["DATABASE_URL"] = conninfo
        migrate()
        with psycopg.connect(conninfo, autocommit=True) as connection:
            config = json.loads((ROOT / "config.json").read_text("utf-8"))
            for rule in config["detection"]["timeouts"].values():
                rule["factor"] = FACTOR
            connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(config),))
        yield conninfo
        admin.execute(f"drop database {name} with (force)")


def bench(scales: Sequence[Scale], output: Path = OUTPUT) -> list[Figure]:
    """Measures at each scale, prints, and writes the JSON. Raises WrongCount."""
    report = Report()
    with Postgres() as server:
        for scale in scales:
            with _database(server, "bench") as conninfo:
                Bench(conninfo, scale, report).run()
            if scale.missions == THE_LARGE_FIGURES_AT:
                with _database(server, "bench") as conninfo:
                    Bench(conninfo, scale, report).run_large()
        smallest, largest = scales[0], scales[-1]
        if len(scales) > 1:
            for name in ("pass, nothing due, to select 1", "pass, 100 newly overdue, to select 1"):
                measured = {
                    f.scale.split("+")[0]: f.measured for f in report.figures if f.name == name
                }
                growth = measured[largest.name] / measured[smallest.name]
                label = f"{largest.name}:{smallest.name}"
                report.add(Figure(f"growth of: {name}", label, growth, 1.5))
        report.write(output, str(server.version))
    return report.figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--scale", default="1k,10k,100k", help="1k,10k,100k,1M; full: all of them")
    chosen = parser.parse_args().scale
    names = (FULL if chosen == "full" else chosen).split(",")
    unknown = [name for name in names if name not in SCALES]
    if unknown:
        print(
            f"bench: no scale {unknown[0]!r}; there are {', '.join(SCALES)}, full", file=sys.stderr
        )
        return 2
    try:
        figures = bench([SCALES[name] for name in names])
    except WrongCount as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    missed = sum(figure.verdict == "MISSED" for figure in figures)
    print(f"\n{len(figures)} figures, {missed} targets missed; written: {OUTPUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
