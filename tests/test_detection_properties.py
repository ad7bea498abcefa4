"""Whatever is written, in whatever order, between and beside passes: after each pass every overdue
interval that is news has its notification, and there are no others.

The same scripts are played on every run. HYPOTHESIS_SEED=<another number> plays others.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, shared_database

SEED = int(os.environ.get("HYPOTHESIS_SEED", "20261124"))
SCRIPTS = 350
STEPS = 25

IN_POINT, BETWEEN_POINTS = "timeout_in_point", "timeout_between_points"
POINTS = ("p1", "p_2", "p3")

missions = st.integers(0, 2)
"""The newest mission, the one before it, ...: an event is told once, so that old missions soon
have nothing left to tell."""
rows = st.integers(0, 9)
"""The newest row, the one before it, ..."""
points = st.sampled_from(POINTS)
# Whole minutes, so that things happen at once and last exactly as long as they may.
moments = st.integers(-20, 4)
"""Minutes after the moment of the passes: what is ahead of it is still to come."""
plans = st.lists(st.sampled_from([1, 2]), min_size=2, max_size=3)
"""Minutes of travel to each point."""
types = st.sampled_from(
    [
        "mission_started",
        "point_arrived",
        "point_completed",
        "mission_completed",
        "mission_cancelled",
        "battery_low",
    ]
)
events = st.lists(st.tuples(missions, types, points, moments), min_size=1, max_size=3)
# Limits of 1.5 and 3 minutes, and steps of about 1 minute: most is in time, and any change may make
# something late.
new_missions: dict[str, Any] = {
    "etas": plans,
    "stays": st.lists(st.sampled_from([1, 1, 1, 0, 2]), min_size=2, max_size=7),
    "latest": st.integers(-2, 2),
}

Events = list[tuple[int, str, str, int]]


def token(mission_id: str, point_id: str, type: str) -> str:
    """As the contract writes it."""
    escaped = (text.replace("\\", r"\\").replace("_", r"\_") for text in (mission_id, point_id))
    return f"{'_'.join(escaped)}__{type}"


class Script(RuleBasedStateMachine):
    """Writers, planners, DBAs and passes, one step at a time."""

    def __init__(self, database: TestDatabase) -> None:
        super().__init__()
        self.database = database
        self.as_of = datetime.now(UTC)
        self.mission_ids: list[str] = []
        self.timeouts: dict[str, dict[str, Any]] = {
            IN_POINT: {"enabled": True, "factor": 1.5, "minimum_seconds": 0},
            BETWEEN_POINTS: {"enabled": True, "factor": 1.5, "minimum_seconds": 0},
        }
        self.enabled = True
        self.notify_within: int | None = 86400
        self.is_eager = False
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

    def mission_id(self, mission: int) -> str:
        return self.mission_ids[-1 - mission % len(self.mission_ids)]

    def occurred_at(self, minutes: int) -> datetime:
        return self.as_of + timedelta(minutes=minutes)

    @initialize(is_eager=st.sampled_from([True, True, False]), etas=plans)
    def begin(self, is_eager: bool, etas: list[int]) -> None:
        """An eager script has a pass after every step, so that no other wake-up of a mission can
        stand in for one that was lost."""
        self.is_eager = is_eager
        self.apply_config()
        self.play_mission(etas, [1], 0)

    # --- Plans ---

    def play_mission(self, etas: list[int], stays: list[int], latest: int) -> None:
        """A new mission: it starts, then from point to point, as far as there are stays, so that
        its latest event is so many minutes from now."""
        mission_id = f"m_{len(self.mission_ids)}"
        self.mission_ids.append(mission_id)
        self.replace_plan(0, etas)
        steps: list[tuple[str, str]] = [("mission_started", "")]
        for point_id in POINTS:
            steps += [("point_arrived", point_id), ("point_completed", point_id)]
        steps.append(("mission_completed", ""))
        minutes = latest - sum(stays)
        history: Events = []
        for (type, point_id), stay in zip(steps, [*stays, 0], strict=False):
            history.append((0, type, point_id, minutes))
            minutes += stay
        self.tell(history)

    # Missions begin more often than anything else happens.
    new_mission: Callable[..., Any] = rule(**new_missions)
    play_a_mission = new_mission(play_mission)
    play_another = new_mission(play_mission)
    play_a_third = new_mission(play_mission)
    play_a_fourth = new_mission(play_mission)

    @rule(mission=missions, etas=plans)
    def replace_plan(self, mission: int, etas: list[int]) -> None:
        mission_id = self.mission_id(mission)
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
                ids=list(POINTS[: len(etas)]),
                etas=etas,
            )
            self.execute(
                "insert into scooters_ops.mission_jobs"
                " select mission_id, point_id, 'j1', 'pickup' from scooters_ops.mission_points"
                " where mission_id = %(mission_id)s",
                mission_id=mission_id,
            )

    @rule(mission=missions, point_id=points, eta=st.sampled_from([0, 1, 4]))
    def change_travel(self, mission: int, point_id: str, eta: int) -> None:
        self.execute(
            "update scooters_ops.mission_points set eta = make_interval(mins => %(eta)s)"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=self.mission_id(mission),
            point_id=point_id,
            eta=eta,
        )

    @rule(mission=missions)
    def reverse_route(self, mission: int) -> None:
        self.execute(
            "update scooters_ops.mission_points set position = 4 - position"
            " where mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
        )

    @rule(mission=missions, point_id=points)
    def remove_point(self, mission: int, point_id: str) -> None:
        self.execute(
            "delete from scooters_ops.mission_points"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=self.mission_id(mission),
            point_id=point_id,
        )

    @rule(
        mission=missions,
        point_id=points,
        job_id=st.sampled_from(["j1", "j2"]),
        eta=st.sampled_from([0, 1, 4, None]),
    )
    def plan_job(self, mission: int, point_id: str, job_id: str, eta: int | None) -> None:
        self.execute(
            "insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, eta)"
            " select mission_id, point_id, %(job_id)s, 'pickup', make_interval(mins => %(eta)s)"
            " from scooters_ops.mission_points"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)"
            " on conflict (mission_id, point_id, job_id) do update set eta = excluded.eta",
            mission_id=self.mission_id(mission),
            point_id=point_id,
            job_id=job_id,
            eta=eta,
        )

    @rule(mission=missions, point_id=points)
    def remove_jobs(self, mission: int, point_id: str) -> None:
        self.execute(
            "delete from scooters_ops.mission_jobs"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=self.mission_id(mission),
            point_id=point_id,
        )

    @rule(mission=missions, point_id=points)
    def skip_jobs(self, mission: int, point_id: str) -> None:
        self.execute(
            "select scooters_ops.skip_job(mission_id, point_id, job_id)"
            " from scooters_ops.mission_jobs"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=self.mission_id(mission),
            point_id=point_id,
        )

    @rule(mission=missions, status=st.sampled_from(["created", "active", "completed", "cancelled"]))
    def change_status(self, mission: int, status: str) -> None:
        self.execute(
            "update scooters_ops.missions set status = %(status)s"
            " where mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
            status=status,
        )

    @rule(mission=missions)
    def delete_mission(self, mission: int) -> None:
        self.execute(
            "delete from scooters_ops.missions where mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
        )

    # --- History ---

    @rule(events=events)
    def tell(self, events: Events) -> None:
        self.insert_events(self.database.connection, events)
        self.execute(
            "update scooters_ops.missions set status = replace(ending.type, 'mission_', '')"
            " from scooters_ops.missions_history as ending"
            " where ending.mission_id = missions.mission_id"
            " and ending.type in ('mission_completed', 'mission_cancelled')"
        )

    @rule(events=events)
    def tell_and_commit_later(self, events: Events) -> None:
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

    def insert_events(self, connection: psycopg.Connection[Any], events: Events) -> None:
        connection.execute(
            "insert into scooters_ops.missions_history (mission_id, type, point_id, occurred_at)"
            f" values {', '.join(['(%s, %s, %s, %s)'] * len(events))}",
            [
                value
                for mission, type, point_id, minutes in events
                for value in (
                    self.mission_id(mission),
                    type,
                    None if type.startswith("mission") else point_id,
                    self.occurred_at(minutes),
                )
            ],
        )

    def change_event(self, row: int, change: str, **values: Any) -> None:
        """Update or delete the newest event, or the one before it, ..."""
        self.execute(
            f"{change} where history_id = ("
            "select history_id from scooters_ops.missions_history"
            " order by history_id desc limit 1 offset %(row)s)",
            row=row,
            **values,
        )

    @rule(row=rows)
    def delete_event(self, row: int) -> None:
        self.change_event(row, "delete from scooters_ops.missions_history")

    @rule(row=rows, minutes=st.sampled_from([-5, -1, 1, 5]))
    def move_event(self, row: int, minutes: int) -> None:
        self.change_event(
            row,
            "update scooters_ops.missions_history"
            " set occurred_at = occurred_at + make_interval(mins => %(minutes)s)",
            minutes=minutes,
        )

    @rule(row=rows, mission=missions)
    def give_event_to_another_mission(self, row: int, mission: int) -> None:
        self.change_event(
            row,
            "update scooters_ops.missions_history set mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
        )

    @rule(row=rows, type=types, point_id=points)
    def change_what_happened(self, row: int, type: str, point_id: str) -> None:
        self.change_event(
            row,
            "update scooters_ops.missions_history set type = %(type)s, point_id = %(point_id)s",
            type=type,
            point_id=point_id,
        )

    # --- Config ---

    def apply_config(self) -> None:
        self.database.apply_config(
            detection__enabled=self.enabled,
            detection__notify_within_seconds=self.notify_within,
            detection__timeouts=self.timeouts,
            detection__job_eta_seconds={"pickup": 60},
            detection__default_job_eta_seconds=120,
        )

    @rule(
        type=st.sampled_from([IN_POINT, BETWEEN_POINTS]),
        enabled=st.sampled_from([True, True, False]),
        factor=st.sampled_from([0.5, 1, 1.5, 3]),
        minimum_seconds=st.sampled_from([0, 0, 180]),
    )
    def change_rule(self, type: str, **changes: Any) -> None:
        self.timeouts[type] = changes
        self.apply_config()

    @rule(notify_within=st.sampled_from([None, 0, 120, 300, 1200]))
    def change_notify_within(self, notify_within: int | None) -> None:
        self.notify_within = notify_within
        self.apply_config()

    @rule(enabled=st.sampled_from([True, True, False]))
    def enable(self, enabled: bool) -> None:
        self.enabled = enabled
        self.apply_config()

    # --- Passes ---

    @rule(passed=st.sampled_from([0, 60, 60, 120, 240, 600]), microseconds=st.integers(0, 1))
    def detect(self, passed: int, microseconds: int) -> None:
        self.as_of += timedelta(seconds=passed, microseconds=microseconds)
        self.check_pass()

    @invariant()
    def detect_eagerly(self) -> None:
        if self.is_eager:
            self.check_pass()

    @rule(minutes=st.integers(1, 10))
    def detect_as_of_the_past(self, minutes: int) -> None:
        as_of = self.as_of - timedelta(minutes=minutes)
        before, inserted = self.pass_as_of(as_of)
        assert inserted <= self.expected(as_of) - before

    @rule()
    def roll_a_pass_back(self) -> None:
        with self.database.connection.transaction(force_rollback=True):
            self.pass_as_of(self.as_of)

    @rule()
    def prune(self) -> None:
        self.database.value("select scooters_ops.prune()")

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
            if self.timeouts[row["type"]]["enabled"]
            and (
                self.notify_within is None
                or row["deadline"] >= as_of - timedelta(seconds=self.notify_within)
            )
        }


def test_after_every_pass_each_overdue_interval_has_its_notification_and_nothing_else_has(
    cluster: Postgres,
) -> None:
    with shared_database(cluster) as database:

        @seed(SEED)
        class ScriptOfThisDatabase(Script):
            def __init__(self) -> None:
                super().__init__(database)

        run_state_machine_as_test(
            ScriptOfThisDatabase,
            settings=settings(
                max_examples=SCRIPTS,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                print_blob=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
