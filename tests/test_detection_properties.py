"""Whatever is written, in whatever order, between and beside passes: after each pass every overdue
interval that is news has its notification, and there are no others.

The same scripts are played on every run. HYPOTHESIS_SEED=<another number> plays others.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, config, shared_database

SEED = int(os.environ.get("HYPOTHESIS_SEED", "20261124"))
SCRIPTS = 150
STEPS = 30

IN_POINT, BETWEEN_POINTS = "timeout_in_point", "timeout_between_points"
MISSIONS = ("m_1", "m2", "m3")
POINTS = ("p1", "p_2", "p3")
missions = st.sampled_from(MISSIONS)
points = st.sampled_from(POINTS)
# Minutes from the start of the script, and of durations: coarse, so that things happen at once and
# last exactly as long as they may. What occurs after the pass's moment is still to come.
moments = st.integers(-40, 60)
etas = st.sampled_from([0, 1, 2, 4, 10])
types = st.sampled_from(
    [
        "mission_started",
        "point_arrived",
        "point_arrived",
        "point_completed",
        "mission_completed",
        "mission_cancelled",
        "battery_low",
    ]
)
rows = st.integers(0, 30)
"""Which of the rows there are: taken modulo their number."""


def token(mission_id: str, point_id: str, type: str) -> str:
    """As the contract writes it."""
    escaped = (text.replace("\\", r"\\").replace("_", r"\_") for text in (mission_id, point_id))
    return f"{'_'.join(escaped)}__{type}"


class Script(RuleBasedStateMachine):
    """Writers, planners, DBAs and passes, one step at a time."""

    def __init__(self, database: TestDatabase) -> None:
        super().__init__()
        self.database = database
        self.start = datetime.now(UTC)
        self.as_of = self.start
        self.rules = {
            IN_POINT: {"enabled": True, "factor": 1.5, "minimum_seconds": 0},
            BETWEEN_POINTS: {"enabled": True, "factor": 1.5, "minimum_seconds": 0},
        }
        self.enabled = True
        self.notify_within: int | None = 86400
        self.late_writer: psycopg.Connection[Any] | None = None
        note(f"HYPOTHESIS_SEED={SEED}")

    def teardown(self) -> None:
        if self.late_writer is not None:
            self.late_writer.close()
        self.execute(
            "delete from scooters_ops.missions;"
            " delete from scooters_ops.missions_history;"
            " delete from scooters_ops.monitoring_notifications;"
            " delete from scooters_ops.mission_wakeups;"
            " delete from scooters_ops.configs"
        )

    def execute(self, statement: str, **values: Any) -> None:
        self.database.connection.execute(statement, values or None)

    def at(self, minutes: float) -> datetime:
        return self.start + timedelta(minutes=minutes)

    # --- Plans ---

    @initialize()
    def first_config_and_plans(self) -> None:
        self.apply_config()
        for mission_id in MISSIONS[:2]:
            self.replace_plan(mission_id, [2, 4, 2])

    @rule(mission_id=missions, point_etas=st.lists(etas, min_size=1, max_size=3))
    def replace_plan(self, mission_id: str, point_etas: list[int]) -> None:
        with self.database.connection.transaction():
            self.execute(
                "insert into scooters_ops.missions (mission_id, performer_id)"
                " values (%(mission_id)s, 'c1') on conflict do nothing",
                mission_id=mission_id,
            )
            self.execute(
                "delete from scooters_ops.mission_points where mission_id = %(mission_id)s",
                mission_id=mission_id,
            )
            self.execute(
                "insert into scooters_ops.mission_points"
                " select %(mission_id)s, p.id, p.n, make_interval(mins => p.eta)"
                " from unnest(%(ids)s::text[], %(etas)s::int[]) with ordinality as p (id, eta, n)",
                mission_id=mission_id,
                ids=list(POINTS[: len(point_etas)]),
                etas=point_etas,
            )
            self.execute(
                "insert into scooters_ops.mission_jobs"
                " select mission_id, point_id, 'j1', 'pickup' from scooters_ops.mission_points"
                " where mission_id = %(mission_id)s",
                mission_id=mission_id,
            )

    @rule(mission_id=missions, point_id=points, eta=etas)
    def change_travel(self, mission_id: str, point_id: str, eta: int) -> None:
        self.execute(
            "update scooters_ops.mission_points set eta = make_interval(mins => %(eta)s)"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=mission_id,
            point_id=point_id,
            eta=eta,
        )

    @rule(mission_id=missions)
    def reverse_route(self, mission_id: str) -> None:
        self.execute(
            "update scooters_ops.mission_points set position = 4 - position"
            " where mission_id = %(mission_id)s",
            mission_id=mission_id,
        )

    @rule(mission_id=missions, point_id=points)
    def remove_point(self, mission_id: str, point_id: str) -> None:
        self.execute(
            "delete from scooters_ops.mission_points"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=mission_id,
            point_id=point_id,
        )

    @rule(mission_id=missions, point_id=points, eta=etas, job_id=st.sampled_from(["j1", "j2"]))
    def plan_job(self, mission_id: str, point_id: str, job_id: str, eta: int) -> None:
        self.execute(
            "insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, eta)"
            " select mission_id, point_id, %(job_id)s, 'pickup', make_interval(mins => %(eta)s)"
            " from scooters_ops.mission_points"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)"
            " on conflict (mission_id, point_id, job_id) do update set eta = excluded.eta",
            mission_id=mission_id,
            point_id=point_id,
            job_id=job_id,
            eta=eta,
        )

    @rule(row=rows)
    def skip_job(self, row: int) -> None:
        self.execute(
            "select scooters_ops.skip_job(mission_id, point_id, job_id)"
            " from scooters_ops.mission_jobs order by 1 offset"
            " %(row)s %% greatest((select count(*) from scooters_ops.mission_jobs), 1) limit 1",
            row=row,
        )

    @rule(
        mission_id=missions, status=st.sampled_from(["created", "active", "completed", "cancelled"])
    )
    def change_status(self, mission_id: str, status: str) -> None:
        self.execute(
            "update scooters_ops.missions set status = %(status)s"
            " where mission_id = %(mission_id)s",
            mission_id=mission_id,
            status=status,
        )

    @rule(mission_id=missions)
    def delete_mission(self, mission_id: str) -> None:
        self.execute(
            "delete from scooters_ops.missions where mission_id = %(mission_id)s",
            mission_id=mission_id,
        )

    # --- History ---

    @rule(
        events=st.lists(st.tuples(missions, types, points, moments), min_size=1, max_size=4),
    )
    def tell(self, events: list[tuple[str, str, str, int]]) -> None:
        self.insert_events(self.database.connection, events)

    def insert_events(
        self, connection: psycopg.Connection[Any], events: list[tuple[str, str, str, int]]
    ) -> None:
        connection.execute(
            "insert into scooters_ops.missions_history (mission_id, type, point_id, occurred_at)"
            f" values {', '.join(['(%s, %s, %s, %s)'] * len(events))}",
            [
                value
                for mission_id, type, point_id, minutes in events
                for value in (
                    mission_id,
                    type,
                    None if type.startswith("mission") else point_id,
                    self.at(minutes),
                )
            ],
        )

    @rule(mission_id=missions, minutes=moments, stays=st.lists(etas, min_size=1, max_size=6))
    def tell_a_whole_mission(self, mission_id: str, minutes: int, stays: list[int]) -> None:
        """Started, then from point to point, each as long as it lasts, to some moment or the end."""
        steps: list[tuple[str, str]] = [("mission_started", "")]
        for point_id in POINTS:
            steps += [("point_arrived", point_id), ("point_completed", point_id)]
        steps.append(("mission_completed", ""))
        events = []
        for (type, point_id), stay in zip(steps, [*stays, 0], strict=False):
            events.append((mission_id, type, point_id, minutes))
            minutes += stay
        self.insert_events(self.database.connection, events)

    @rule(row=rows, mission_id=missions, type=types, minutes=moments)
    def edit_event(self, row: int, mission_id: str, type: str, minutes: int) -> None:
        self.execute(
            "update scooters_ops.missions_history"
            " set mission_id = %(mission_id)s, type = %(type)s,"
            " point_id = coalesce(point_id, 'p1'), occurred_at = %(occurred_at)s"
            " where history_id = (select history_id from scooters_ops.missions_history order by 1"
            " offset %(row)s %% greatest((select count(*) from scooters_ops.missions_history), 1)"
            " limit 1)",
            row=row,
            mission_id=mission_id,
            type=type,
            occurred_at=self.at(minutes),
        )

    @rule(row=rows)
    def delete_event(self, row: int) -> None:
        self.execute(
            "delete from scooters_ops.missions_history"
            " where history_id = (select history_id from scooters_ops.missions_history order by 1"
            " offset %(row)s %% greatest((select count(*) from scooters_ops.missions_history), 1)"
            " limit 1)",
            row=row,
        )

    @rule(
        events=st.lists(st.tuples(missions, types, points, moments), min_size=1, max_size=4),
    )
    def tell_and_commit_later(self, events: list[tuple[str, str, str, int]]) -> None:
        if self.late_writer is None:
            self.late_writer = psycopg.connect(self.database.conninfo)
        self.insert_events(self.late_writer, events)

    @precondition(lambda self: self.late_writer is not None)
    @rule(is_committed=st.sampled_from([True, True, False]))
    def commit_at_last(self, is_committed: bool) -> None:
        assert self.late_writer is not None
        if is_committed:
            self.late_writer.commit()
        self.late_writer.close()
        self.late_writer = None

    # --- Config ---

    def apply_config(self) -> None:
        self.database.apply_config(
            detection__enabled=self.enabled,
            detection__notify_within_seconds=self.notify_within,
            detection__timeouts=self.rules,
            detection__job_eta_seconds={"pickup": 120},
        )

    @rule(
        type=st.sampled_from([IN_POINT, BETWEEN_POINTS]),
        enabled=st.booleans(),
        factor=st.sampled_from([0.5, 1, 1.5, 3]),
        minimum_seconds=st.sampled_from([0, 0, 180]),
    )
    def change_rule(self, type: str, **changes: Any) -> None:
        self.rules[type] = changes
        self.apply_config()

    @rule(notify_within=st.sampled_from([None, 0, 300, 1200, 86400]))
    def change_notify_within(self, notify_within: int | None) -> None:
        self.notify_within = notify_within
        self.apply_config()

    @rule(enabled=st.sampled_from([True, True, False]))
    def enable(self, enabled: bool) -> None:
        self.enabled = enabled
        self.apply_config()

    # --- Passes ---

    @rule()
    def prune(self) -> None:
        self.database.value("select scooters_ops.prune()")

    @rule()
    def roll_a_pass_back(self) -> None:
        with self.database.connection.transaction(force_rollback=True):
            self.pass_as_of(self.as_of)

    @rule(minutes=st.integers(1, 30))
    def detect_as_of_the_past(self, minutes: int) -> None:
        as_of = max(self.as_of - timedelta(minutes=minutes), self.start)
        before, inserted = self.pass_as_of(as_of)
        assert inserted <= self.expected(as_of) - before

    @rule(passed=st.sampled_from([0, 1, 60, 120, 240, 600, 1800]), odd=st.booleans())
    def detect(self, passed: int, odd: bool) -> None:
        self.as_of += timedelta(seconds=passed, microseconds=odd)
        self.check_pass()

    @rule(passed=st.sampled_from([60, 120, 240, 600]))
    def detect_again(self, passed: int) -> None:
        """Passes come more often than anything else."""
        self.as_of += timedelta(seconds=passed)
        self.check_pass()

    def check_pass(self) -> None:
        before, inserted = self.pass_as_of(self.as_of)
        assert inserted == self.expected(self.as_of) - before, "inserted, expected"

    def pass_as_of(self, as_of: datetime) -> tuple[set[str], set[str]]:
        """One pass: the tokens before it, and those that it inserted."""
        before = self.tokens()
        count = self.database.value("select scooters_ops.detect_timeouts(%s)", as_of)
        inserted = self.tokens() - before
        assert count == len(inserted)
        return before, inserted

    def tokens(self) -> set[str]:
        tokens = [token for token in self.database.tokens() if not token.endswith("job_skipped")]
        assert len(tokens) == len(set(tokens)), "a token is there twice"
        return set(tokens)

    def expected(self, as_of: datetime) -> set[str]:
        """What is overdue by the view and news by the config, of the types that are enabled."""
        if not self.enabled:
            return set()
        overdue = self.database.rows(
            "select mission_id, point_id, type::text, deadline"
            " from scooters_ops.mission_intervals_at(%s) where is_overdue",
            as_of,
        )
        return {
            token(row["mission_id"], row["point_id"], row["type"])
            for row in overdue
            if self.rules[row["type"]]["enabled"]
            and (
                self.notify_within is None
                or row["deadline"] >= as_of - timedelta(seconds=self.notify_within)
            )
        }


def test_after_every_pass_each_overdue_interval_has_its_notification_and_nothing_else_has(
    cluster: Postgres,
) -> None:
    with shared_database(cluster) as database:
        run_state_machine_as_test(
            seed(SEED)(lambda: Script(database)),
            settings=settings(
                max_examples=SCRIPTS,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                print_blob=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )


def test_the_scripts_config_is_what_its_rules_say() -> None:
    assert json.loads(json.dumps(config()))["detection"]["timeouts"].keys() == {
        IN_POINT,
        BETWEEN_POINTS,
    }
