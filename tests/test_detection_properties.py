"""Whatever is written, in any order, between and during passes: after each pass, every overdue
interval that is to be reported has a notification, and there are no others.

Every run plays the same scripts. SCRIPTS_SEED=<another number> plays others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sandbox.postgres import Postgres
from tests import reference
from tests.conftest import TestDatabase, shared_database

pytestmark = pytest.mark.slow(seconds=20)

SEED = int(os.environ.get("SCRIPTS_SEED", "20261124"))
SCRIPTS = 190
STEPS = 25

IN_POINT, BETWEEN_POINTS = "timeout_in_point", "timeout_between_points"
POINTS = ("p1", "p_2", "p3")
TYPES = (
    "mission_started",
    "point_arrived",
    "point_completed",
    "mission_completed",
    "mission_cancelled",
    "battery_low",
)
STATUSES = ("created", "active", "completed", "cancelled")

OVERRIDES: Sequence[dict[str, Any]] = (
    {
        "name": "Omsk",
        "match": {"city": ["Omsk", 5]},
        "timeouts": {IN_POINT: {"factor": 0.5}, BETWEEN_POINTS: {"factor": 3}},
    },
    {"name": "c2", "match": {"performer_id": "c2"}, "job_eta_seconds": {"pickup": 240}},
    {
        "name": "soon",
        "match": {"at": "soon"},
        "timeouts": {BETWEEN_POINTS: {"minimum_seconds": 180}},
        "default_job_eta_seconds": 0,
    },
    {
        "name": "p_2 in Omsk",
        "match": {"city": "Omsk", "point_id": "p_2", "at": ["soon", "before"]},
        "timeouts": {IN_POINT: {"factor": 1}, BETWEEN_POINTS: {"factor": 0.5}},
    },
)

Events = list[tuple[int, str, str, int]]
"""Which mission (0: the newest, 1: the one before it, ...), type, point, and minutes from now."""


@cache
def start() -> datetime:
    """The time as of which every script starts, so that all have the same calendars."""
    return datetime.now(UTC)


def calendar(begins: int, ends: int) -> dict[str, str]:
    """From and to so many minutes after the start."""
    begin, end = (start() + timedelta(minutes=minutes) for minutes in (begins, ends))
    return {"from": f"{begin:%H:%M}", "to": f"{end:%H:%M}", "time_zone": "UTC"}


def token(mission_id: str, point_id: str, type: str) -> str:
    """The token as the contract defines it."""
    escaped = (text.replace("\\", r"\\").replace("_", r"\_") for text in (mission_id, point_id))
    return f"{'_'.join(escaped)}__{type}"


class World:
    """Writers, planners, DBAs and passes, one step at a time."""

    def __init__(self, database: TestDatabase, *, is_eager: bool) -> None:
        """An eager world runs a pass after every step, so that no other wake-up of a mission can
        hide one that was lost."""
        self.database = database
        self.as_of = start()
        self.mission_ids = ["m_0"]  # not planned until a step plans it
        self.timeouts: dict[str, dict[str, Any]] = {
            IN_POINT: {"enabled": True, "factor": 1.5, "minimum_seconds": 0},
            BETWEEN_POINTS: {"enabled": True, "factor": 1.5, "minimum_seconds": 0},
        }
        self.overrides: Sequence[int] = ()
        self.soon = 0  # minutes from the start
        self.enabled = True
        self.notify_within: int | None = 86400
        self.is_eager = is_eager
        self.late_writer: psycopg.Connection[Any] | None = None
        self.notifier: psycopg.Connection[Any] | None = None
        self.locked: set[Name] = set()
        self.recorded = Recorded({}, {}, set())  # after the last pass

    def end(self) -> None:
        for connection in (self.late_writer, self.notifier):
            if connection is not None:
                connection.rollback()
                connection.close()
        self.execute(
            "delete from scooters_ops.missions;"
            " delete from scooters_ops.missions_history;"
            " delete from scooters_ops.monitoring_notifications;"
            " delete from scooters_ops.mission_wakeups;"
            " delete from scooters_ops.recorded_intervals;"
            " delete from scooters_ops.pending_resolutions;"
            " delete from scooters_ops.configs"
            " where config_id > (select min(config_id) from scooters_ops.configs)"
        )

    def execute(self, statement: str, **values: Any) -> None:
        self.database.connection.execute(statement, values or None)

    def mission_id(self, mission: int) -> str:
        return self.mission_ids[-1 - mission % len(self.mission_ids)]

    def occurred_at(self, minutes: int) -> datetime:
        return self.as_of + timedelta(minutes=minutes)

    def step(self, name: str, arguments: Mapping[str, Any]) -> None:
        getattr(self, name)(**arguments)
        if self.is_eager:
            self.detect(0, 0)

    # --- Plans ---

    def play_mission(self, etas: list[int], stays: list[int], latest: int) -> None:
        """A new mission that starts and goes from point to point, one for each stay, so that its
        latest event is the given number of minutes from now."""
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
        self.report(history)

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

    def change_travel(self, mission: int, point_id: str, eta: int) -> None:
        self.execute(
            "update scooters_ops.mission_points set eta = make_interval(mins => %(eta)s)"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=self.mission_id(mission),
            point_id=point_id,
            eta=eta,
        )

    def reverse_route(self, mission: int) -> None:
        self.execute(
            "update scooters_ops.mission_points set position = 4 - position"
            " where mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
        )

    def remove_point(self, mission: int, point_id: str) -> None:
        self.execute(
            "delete from scooters_ops.mission_points"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=self.mission_id(mission),
            point_id=point_id,
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

    def remove_jobs(self, mission: int, point_id: str) -> None:
        self.execute(
            "delete from scooters_ops.mission_jobs"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=self.mission_id(mission),
            point_id=point_id,
        )

    def skip_jobs(self, mission: int, point_id: str) -> None:
        self.execute(
            "select scooters_ops.skip_job(mission_id, point_id, job_id)"
            " from scooters_ops.mission_jobs"
            " where (mission_id, point_id) = (%(mission_id)s, %(point_id)s)",
            mission_id=self.mission_id(mission),
            point_id=point_id,
        )

    def change_status(self, mission: int, status: str) -> None:
        self.execute(
            "update scooters_ops.missions set status = %(status)s"
            " where mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
            status=status,
        )

    def change_attributes(self, mission: int, attributes: dict[str, Any]) -> None:
        self.execute(
            "update scooters_ops.missions set attributes = %(attributes)s"
            " where mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
            attributes=Jsonb(attributes),
        )

    def change_performer(self, mission: int, performer_id: str) -> None:
        self.execute(
            "update scooters_ops.missions set performer_id = %(performer_id)s"
            " where mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
            performer_id=performer_id,
        )

    def delete_mission(self, mission: int) -> None:
        self.execute(
            "delete from scooters_ops.missions where mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
        )

    # --- History ---

    def report(self, events: Events) -> None:
        self.insert_events(self.database.connection, events)
        self.execute(
            "update scooters_ops.missions set status = replace(ending.type, 'mission_', '')"
            " from scooters_ops.missions_history as ending"
            " where ending.mission_id = missions.mission_id"
            " and ending.type in ('mission_completed', 'mission_cancelled')"
        )

    def report_and_commit_later(self, events: Events) -> None:
        if self.late_writer is None:
            self.late_writer = psycopg.connect(self.database.conninfo)
        self.insert_events(self.late_writer, events)

    def commit_reports(self, is_committed: bool) -> None:
        if self.late_writer is None:
            return
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
        """Updates or deletes the newest event, or the one before it, ..."""
        self.execute(
            f"{change} where history_id = ("
            "select history_id from scooters_ops.missions_history"
            " order by history_id desc limit 1 offset %(row)s)",
            row=row,
            **values,
        )

    def delete_event(self, row: int) -> None:
        self.change_event(row, "delete from scooters_ops.missions_history")

    def move_event(self, row: int, minutes: int) -> None:
        self.change_event(
            row,
            "update scooters_ops.missions_history"
            " set occurred_at = occurred_at + make_interval(mins => %(minutes)s)",
            minutes=minutes,
        )

    def give_event_to_another_mission(self, row: int, mission: int) -> None:
        self.change_event(
            row,
            "update scooters_ops.missions_history set mission_id = %(mission_id)s",
            mission_id=self.mission_id(mission),
        )

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
            detection__overrides=[OVERRIDES[n] for n in self.overrides],
            calendars={"before": calendar(-7, 0), "soon": calendar(self.soon, 5)},
        )

    def change_rule(self, type: str, **changes: Any) -> None:
        self.timeouts[type] = changes
        self.apply_config()

    def change_overrides(self, overrides: Sequence[int]) -> None:
        self.overrides = overrides
        self.apply_config()

    def change_calendar(self, soon: int) -> None:
        self.soon = soon
        self.apply_config()

    def change_notify_within(self, notify_within: int | None) -> None:
        self.notify_within = notify_within
        self.apply_config()

    def enable(self, enabled: bool) -> None:
        self.enabled = enabled
        self.apply_config()

    # --- Passes ---

    def lock_notifications(self, share: int) -> None:
        """A notifier records results: every second notification, or all of them, is locked."""
        self.unlock_notifications()
        self.notifier = psycopg.connect(self.database.conninfo)
        self.locked = set(
            self.notifier.execute(
                "select mission_id, type::text, point_id from scooters_ops.monitoring_notifications"
                " where notification_id %% %s = 0 for update",
                (share,),
            )
        )

    def unlock_notifications(self) -> None:
        if self.notifier is not None:
            # The server notices that a connection is closed only a while later.
            self.notifier.rollback()
            self.notifier.close()
        self.notifier = None
        self.locked = set()

    def detect(self, passed: int, microseconds: int) -> None:
        self.as_of += timedelta(seconds=passed, microseconds=microseconds)
        expected = self.recorded.copy()
        if self.enabled:
            expected.follow(self)
        self.pass_as_of(self.as_of)
        found = self.recorded
        assert found.intervals == expected.intervals
        assert found.notifications == expected.notifications
        assert self.not_recorded() == []

    def detect_as_of_the_past(self, minutes: int) -> None:
        self.pass_as_of(self.as_of - timedelta(minutes=minutes))

    def roll_a_pass_back(self) -> None:
        before = self.recorded
        with self.database.connection.transaction(force_rollback=True):
            self.pass_as_of(self.as_of)
        self.recorded = before

    def prune(self) -> None:
        self.database.value("select scooters_ops.prune_bookkeeping()")

    def pass_as_of(self, as_of: datetime) -> None:
        """One pass, and what is recorded after it."""
        before = self.recorded.notifications.keys()
        connection = self.database.connection
        with connection.pipeline():
            count = connection.execute("select scooters_ops.detect_timeouts(%s)", [as_of])
            recorded = Recorded.of(self.database)
        self.recorded = recorded()
        assert count.fetchone() == (len(self.recorded.notifications.keys() - before),)

    def not_recorded(self) -> list[str]:
        """The missions where the check of the status views finds something else than the view."""
        missed: list[str] = self.database.value(
            "select scooters_ops.missions_not_recorded(array("
            " select mission_id from scooters_ops.missions))"
        )
        return missed

    def resolution(self, mission_id: str, finished_at: datetime | None) -> str:
        """Why an interval is over; finished_at: None if the view no longer shows it."""
        history = [
            reference.Event(**row)
            for row in self.database.rows(
                "select type, point_id, occurred_at from scooters_ops.missions_history"
                " where mission_id = %s order by history_id",
                mission_id,
            )
        ]
        if finished_at is None:
            status = self.database.value(
                "select status from scooters_ops.missions where mission_id = %s", mission_id
            )
            is_ended = status in ("completed", "cancelled") and not any(
                event.type in reference.ENDS for event in history
            )
            return "ended" if is_ended else "withdrawn"
        closing = next(
            event
            for event in reference.counting_events(history, self.as_of)
            if event.occurred_at == finished_at
        )
        return "ended" if closing.type in reference.ENDS else "moved_on"

    def intervals(self) -> list[dict[str, Any]]:
        """What the view shows as of the last pass."""
        return self.database.rows(
            "select *, type::text as type from scooters_ops.mission_intervals_at(%s)", self.as_of
        )


# --- What passes should record -------------------------------------------------------------------


Key = tuple[str, str, str]
"""Where an interval began: mission, type, point."""
Name = tuple[str, str, str]
"""What a notification is about: mission, type, point."""


@dataclass
class Recorded:
    """The recorded intervals and the notifications, and what a pass should make of them."""

    intervals: dict[Key, dict[str, Any]]
    notifications: dict[Name, dict[str, Any]]
    pending: set[Name]
    """The notifications that were locked when they should have been resolved."""

    @classmethod
    def of(cls, database: TestDatabase) -> Callable[[], Recorded]:
        """What the tables hold; called within a pipeline, it gives the rows after its end."""
        cursors = [
            database.connection.cursor(row_factory=dict_row).execute(query)
            for query in (
                "select mission_id, type::text as type, from_point_id, point_id, started_at,"
                " finished_at, eta, factor, rule, time_limit, deadline, is_judged,"
                " notification_id from scooters_ops.recorded_intervals",
                "select notification_id, idempotency_token, mission_id, type::text as type,"
                " point_id, (details ->> 'started_at')::timestamptz as started_at, resolution"
                " from scooters_ops.monitoring_notifications where type <> 'job_skipped'",
                "select notification_id from scooters_ops.pending_resolutions",
            )
        ]

        def rows() -> Recorded:
            intervals, notifications, pending = (cursor.fetchall() for cursor in cursors)
            names: dict[int, Name] = {}
            for row in notifications:
                name = row["mission_id"], row["type"], row["point_id"]
                names[row.pop("notification_id")] = name
                assert row.pop("idempotency_token") == token(name[0], name[2], name[1])
            for row in intervals:
                row["notification"] = names.get(row.pop("notification_id"))
            return cls(
                {(row["mission_id"], row["type"], row["from_point_id"]): row for row in intervals},
                dict(zip(names.values(), notifications, strict=True)),
                {names[row["notification_id"]] for row in pending},
            )

        return rows

    def copy(self) -> Recorded:
        """A copy whose notifications may be changed."""
        return Recorded(
            self.intervals,
            {name: {**row} for name, row in self.notifications.items()},
            self.pending,
        )

    def follow(self, world: World) -> None:
        """Makes of this what a pass as of world.as_of should make of it."""
        news_since = (
            datetime.min.replace(tzinfo=UTC)
            if world.notify_within is None
            else world.as_of - timedelta(seconds=world.notify_within)
        )
        ending = self.pending | self._open()
        self.intervals = {
            key: recorded(self.intervals.get(key), row, news_since)
            for row in world.intervals()
            for key in [(row["mission_id"], row["type"], row["from_point_id"] or "")]
        }
        # Of two to one point, the one that is still open is reported.
        for interval in sorted(
            self.intervals.values(),
            key=lambda row: (row["finished_at"] is not None, row["started_at"]),
        ):
            self._judge(interval, world, news_since)
        for name in ending - self._open() - world.locked:
            if self.notifications[name]["resolution"] is None:
                ends = [
                    interval["finished_at"]
                    for interval in self.intervals.values()
                    if interval["notification"] == name
                ]
                self.notifications[name]["resolution"] = world.resolution(
                    name[0], max(ends, default=None)
                )

    def _open(self) -> set[Name]:
        """The notifications of intervals that are open."""
        return {
            interval["notification"]
            for interval in self.intervals.values()
            if interval["notification"] and interval["finished_at"] is None
        }

    def _judge(self, interval: dict[str, Any], world: World, news_since: datetime) -> None:
        is_enabled = world.timeouts[interval["type"]]["enabled"]
        if interval["is_judged"] or interval["deadline"] >= (
            world.as_of if is_enabled else news_since
        ):
            return
        interval["is_judged"] = True
        known = [
            name
            for name, row in self.notifications.items()
            if name[:2] == (interval["mission_id"], interval["type"])
            and (name[2] == interval["point_id"] or row["started_at"] == interval["started_at"])
        ]
        if not known and interval["deadline"] >= news_since:
            name = interval["mission_id"], interval["type"], interval["point_id"]
            finished_at = interval["finished_at"]
            self.notifications[name] = {
                "mission_id": interval["mission_id"],
                "type": interval["type"],
                "point_id": interval["point_id"],
                "started_at": interval["started_at"],
                "resolution": finished_at and world.resolution(interval["mission_id"], finished_at),
            }
            known = [name]
        if known:
            interval["notification"] = known[0]


FACTS = ("point_id", "started_at", "finished_at")
JUDGEMENT = ("eta", "factor", "rule", "time_limit")


def recorded(
    before: Mapping[str, Any] | None, row: Mapping[str, Any], news_since: datetime
) -> dict[str, Any]:
    """What a pass should record of a row of the view, and recorded of it before."""
    interval = {key: row[key] for key in ("mission_id", "type", *FACTS, *JUDGEMENT)}
    interval["from_point_id"] = row["from_point_id"] or ""
    interval["notification"] = before and before["notification"]
    was_closed = before is not None and before["finished_at"] is not None
    if (
        before
        and was_closed
        and row["finished_at"]
        and before["point_id"] == row["point_id"]
        and (before["eta"] is not None or row["eta"] is None)
    ):
        interval |= {key: before[key] for key in JUDGEMENT}
    limit = interval["time_limit"]
    deadline = interval["deadline"] = None if limit is None else row["started_at"] + limit
    if before and was_closed and all(before[key] == interval[key] for key in (*FACTS, *JUDGEMENT)):
        interval["is_judged"] = before["is_judged"]
    else:
        interval["is_judged"] = (
            interval["notification"] is not None
            or deadline is None
            or (row["finished_at"] is not None and row["finished_at"] <= deadline)
            or deadline < news_since
        )
    return interval


# --- Scripts --------------------------------------------------------------------------------------
# Whole minutes, so that events coincide and intervals last exactly as long as they may. Limits are
# 1.5 and 3 minutes and most steps of a mission take one, so most is in time and any change can make
# something late. Missions begin often, because an event is reported once: an old mission soon has
# nothing left to report.


def mission(random: Random) -> int:
    return random.choice((0, 0, 1, 2))


def point(random: Random) -> str:
    return random.choice(POINTS)


def etas(random: Random) -> list[int]:
    return random.choices((1, 2), k=random.choice((2, 3, 3)))


def history(random: Random) -> Events:
    return [
        (mission(random), random.choice(TYPES), point(random), random.randint(-8, 4))
        for _ in range(random.randint(1, 3))
    ]


def row(random: Random) -> int:
    return random.randint(0, 7)


# The relative frequency of each step, and its arguments.
MENU: dict[str, tuple[int, Callable[[Random], dict[str, Any]]]] = {
    "play_mission": (
        8,
        lambda r: {
            "etas": etas(r),
            "stays": r.choices((1, 1, 1, 0, 2), k=r.randint(1, 7)),
            "latest": r.randint(-2, 2),
        },
    ),
    "replace_plan": (1, lambda r: {"mission": mission(r), "etas": etas(r)}),
    "change_travel": (
        1,
        lambda r: {"mission": mission(r), "point_id": point(r), "eta": r.choice((0, 1, 4))},
    ),
    "reverse_route": (1, lambda r: {"mission": mission(r)}),
    "remove_point": (1, lambda r: {"mission": mission(r), "point_id": point(r)}),
    "plan_job": (
        1,
        lambda r: {
            "mission": mission(r),
            "point_id": point(r),
            "job_id": r.choice(("j1", "j2")),
            "eta": r.choice((0, 1, 4, None)),
        },
    ),
    "remove_jobs": (1, lambda r: {"mission": mission(r), "point_id": point(r)}),
    "skip_jobs": (1, lambda r: {"mission": mission(r), "point_id": point(r)}),
    "change_status": (1, lambda r: {"mission": mission(r), "status": r.choice(STATUSES)}),
    "change_attributes": (
        2,
        lambda r: {
            "mission": mission(r),
            "attributes": r.choice(
                ({}, {"city": "Omsk"}, {"city": "Omsk"}, {"city": 5}, {"city": ["Omsk"]})
            ),
        },
    ),
    "change_performer": (
        1,
        lambda r: {"mission": mission(r), "performer_id": r.choice(("c1", "c2"))},
    ),
    "delete_mission": (1, lambda r: {"mission": mission(r)}),
    "report": (2, lambda r: {"events": history(r)}),
    "report_and_commit_later": (2, lambda r: {"events": history(r)}),
    "commit_reports": (2, lambda r: {"is_committed": r.random() < 0.7}),
    "delete_event": (2, lambda r: {"row": row(r)}),
    "move_event": (2, lambda r: {"row": row(r), "minutes": r.choice((-5, -1, 1, 5))}),
    "give_event_to_another_mission": (1, lambda r: {"row": row(r), "mission": mission(r)}),
    "change_what_happened": (
        1,
        lambda r: {"row": row(r), "type": r.choice(TYPES), "point_id": point(r)},
    ),
    "change_rule": (
        1,
        lambda r: {
            "type": r.choice((IN_POINT, BETWEEN_POINTS)),
            "enabled": r.random() < 0.7,
            "factor": r.choice((0.5, 1, 1.5, 3)),
            "minimum_seconds": r.choice((0, 0, 180)),
        },
    ),
    "change_overrides": (
        3,
        lambda r: {"overrides": r.sample(range(len(OVERRIDES)), r.randint(0, 3))},
    ),
    # Seldom: the database looks up the time zones of new calendars.
    "change_calendar": (1, lambda r: {"soon": r.choice((-6, 0, 2))}),
    "change_notify_within": (
        1,
        lambda r: {"notify_within": r.choice((None, 0, 120, 300, 1200, 86400))},
    ),
    "enable": (1, lambda r: {"enabled": r.random() < 0.7}),
    "detect": (
        8,
        lambda r: {
            "passed": r.choice((0, 60, 60, 120, 240, 600)),
            "microseconds": r.choice((0, 0, 1)),
        },
    ),
    "detect_as_of_the_past": (1, lambda r: {"minutes": r.randint(1, 10)}),
    "roll_a_pass_back": (1, lambda r: {}),
    "prune": (2, lambda r: {}),
    "lock_notifications": (1, lambda r: {"share": r.choice((1, 2))}),
    "unlock_notifications": (2, lambda r: {}),
}


@dataclass(frozen=True)
class Script:
    """Steps, each the name of a method of World with its arguments."""

    is_eager: bool
    steps: Sequence[tuple[str, Mapping[str, Any]]]

    @classmethod
    def written_by(cls, random: Random) -> Script:
        weights = [weight for weight, _ in MENU.values()]
        names = random.choices(list(MENU), weights, k=STEPS)
        return cls(random.random() < 0.6, [(name, MENU[name][1](random)) for name in names])

    def problem(self, database: TestDatabase) -> AssertionError | None:
        """The problem that occurs when it is played; None: none."""
        world = World(database, is_eager=self.is_eager)
        try:
            for name, arguments in self.steps:
                world.step(name, arguments)
        except AssertionError as problem:
            return problem
        finally:
            world.end()
        return None

    def shortest(self, database: TestDatabase) -> Script:
        """The script without the steps that are not needed for its problem."""
        for position in reversed(range(len(self.steps))):
            shorter = Script(self.is_eager, [*self.steps[:position], *self.steps[position + 1 :]])
            if shorter.problem(database):
                return shorter.shortest(database)
        return self


def test_after_every_pass_exactly_the_overdue_intervals_have_notifications(
    cluster: Postgres,
) -> None:
    with shared_database(cluster) as database:
        # A pass waits for nobody.
        database.connection.execute("set lock_timeout = '20s'")
        World(database, is_eager=False).apply_config()
        database.connection.execute(
            "delete from scooters_ops.configs"
            " where config_id < (select max(config_id) from scooters_ops.configs)"
        )
        for number in range(SCRIPTS):
            script = Script.written_by(Random(f"{SEED} {number}"))
            if problem := script.problem(database):
                script = script.shortest(database)
                steps = "\n".join(f"    {name}({arguments})" for name, arguments in script.steps)
                pytest.fail(
                    f"SCRIPTS_SEED={SEED}, script {number}, eager: {script.is_eager}\n{steps}\n"
                    f"{script.problem(database) or f'not again, but at first: {problem}'}"
                )
