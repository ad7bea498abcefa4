"""The interval table of DESIGN.md in plain Python: values in, values out.

It was written from the text of DESIGN.md alone; test_interval_properties.py compares the SQL with
it. Where the text is ambiguous, it is read as follows:

- Events of the mission as a whole (`mission_*`) have no point, whatever point_id their rows hold.
- An interval between points whose next event names no point (there is none, it ends the mission,
  or it is a stray `mission_started`) goes to the first point by position that has no counting event
  up to and including the event that opened the interval, and is not wholly skipped. A point
  without jobs is never wholly skipped.
- The last visited point is the point of the latest event so far whose point is in the plan.
- A point that is not in the plan has no travel eta (hence no limit); its dwell eta is config's
  default, as for a point without jobs.
- Returning to the same or an earlier position counts as going back: the point's own eta.
- As of a time before the end of a mission that is now completed or cancelled, its interval was
  open. If such a mission has no end in its history, it has no open interval at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.reference_matches import Calendars, Override, first_override

ENDS = ("mission_completed", "mission_cancelled")
OF_THE_MISSION = ("mission_started", *ENDS)
COUNTING = (*OF_THE_MISSION, "point_arrived", "point_completed")

IN_POINT = "timeout_in_point"
BETWEEN_POINTS = "timeout_between_points"


@dataclass(frozen=True)
class Job:
    type: str
    eta: timedelta | None = None
    status: str = "planned"


@dataclass(frozen=True)
class Point:
    point_id: str
    position: int
    eta: timedelta
    jobs: tuple[Job, ...] = ()

    @property
    def is_wholly_skipped(self) -> bool:
        return bool(self.jobs) and all(job.status == "skipped" for job in self.jobs)


@dataclass(frozen=True)
class Mission:
    mission_id: str
    points: tuple[Point, ...]
    status: str = "active"
    performer_id: str = "c1"
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """A row of missions_history."""

    type: str
    point_id: str | None
    occurred_at: datetime


@dataclass(frozen=True)
class Rule:
    """The config of one type of timeout."""

    factor: float
    minimum: timedelta = timedelta(0)


@dataclass(frozen=True)
class Config:
    rules: Mapping[str, Rule]
    """By type of timeout."""
    job_etas: Mapping[str, timedelta]
    """By type of job."""
    default_job_eta: timedelta
    overrides: Sequence[Override] = ()
    calendars: Calendars = field(default_factory=Calendars)

    def changed_by(self, override: Override) -> Config:
        """What it says where the override decides."""
        return replace(
            self,
            rules={
                type: Rule(
                    override.factors.get(type, rule.factor),
                    override.minimums.get(type, rule.minimum),
                )
                for type, rule in self.rules.items()
            },
            job_etas={**self.job_etas, **override.job_etas},
            default_job_eta=self.default_job_eta
            if override.default_job_eta is None
            else override.default_job_eta,
        )


@dataclass(frozen=True)
class Interval:
    mission_id: str
    point_id: str
    type: str
    started_at: datetime
    finished_at: datetime | None
    eta: timedelta | None
    limit: timedelta | None
    deadline: datetime | None
    elapsed: timedelta
    is_open: bool
    is_overdue: bool
    factor: float
    rule: str | None


def intervals(
    mission: Mission, history: Sequence[Event], config: Config, as_of: datetime
) -> list[Interval]:
    """The intervals of a mission as of a given time; `history` is in the order of insertion."""
    has_ended_unseen = mission.status in ("completed", "cancelled") and not any(
        event.type in ENDS for event in history
    )
    events = counting_events(history, as_of)
    found = []
    for index, event in enumerate(events):
        following = events[index + 1] if index + 1 < len(events) else None
        if event.type in ENDS or (following is None and has_ended_unseen):
            continue
        if event.type == "point_arrived":
            assert event.point_id is not None
            kind, point_id = IN_POINT, event.point_id
        else:
            so_far = events[: index + 1]
            target = following.point_id if following else None
            if target is None:
                target = first_point_to_visit(mission, so_far)
            if target is None:
                continue
            kind, point_id = BETWEEN_POINTS, target
        facts = {
            "type": kind,
            "mission_id": mission.mission_id,
            "point_id": point_id,
            "performer_id": mission.performer_id,
            "attributes": mission.attributes,
        }
        override = first_override(config.overrides, facts, event.occurred_at, config.calendars)
        decided = config.changed_by(override) if override else config
        eta = (
            dwell_eta(mission, point_id, decided)
            if kind == IN_POINT
            else travel_eta(mission, point_id, events[: index + 1])
        )
        rule = decided.rules[kind]
        limit = None if eta is None else max(eta * rule.factor, rule.minimum)
        finished_at = following.occurred_at if following else None
        elapsed = (finished_at or as_of) - event.occurred_at
        found.append(
            Interval(
                mission_id=mission.mission_id,
                point_id=point_id,
                type=kind,
                started_at=event.occurred_at,
                finished_at=finished_at,
                eta=eta,
                limit=limit,
                deadline=None if limit is None else event.occurred_at + limit,
                elapsed=elapsed,
                is_open=finished_at is None,
                is_overdue=limit is not None and elapsed > limit,
                factor=rule.factor,
                rule=override.name if override else None,
            )
        )
    return found


def counting_events(history: Sequence[Event], as_of: datetime) -> list[Event]:
    """The events that count as of a given time, in order; events of the mission have no point."""
    counting: dict[tuple[str, str | None], Event] = {}
    # The sort is stable: of events at the same time, the one that was inserted first comes first.
    for row in sorted(history, key=lambda row: row.occurred_at):
        if row.type not in COUNTING or row.occurred_at > as_of:
            continue
        event = replace(row, point_id=None) if row.type in OF_THE_MISSION else row
        counting.setdefault((event.type, event.point_id), event)
        if event.type in ENDS:
            break
    return list(counting.values())


def first_point_to_visit(mission: Mission, so_far: Sequence[Event]) -> str | None:
    """The first point by position without an event that is not wholly skipped."""
    visited = {event.point_id for event in so_far}
    for point in sorted(mission.points, key=lambda point: point.position):
        if point.point_id not in visited and not point.is_wholly_skipped:
            return point.point_id
    return None


def dwell_eta(mission: Mission, point_id: str, config: Config) -> timedelta:
    """How long the jobs of a point should take."""
    jobs = next((point.jobs for point in mission.points if point.point_id == point_id), ())
    if not jobs:
        return config.default_job_eta
    return sum(
        (
            job.eta
            if job.eta is not None
            else config.job_etas.get(job.type, config.default_job_eta)
            for job in jobs
        ),
        start=timedelta(0),
    )


def travel_eta(mission: Mission, point_id: str, so_far: Sequence[Event]) -> timedelta | None:
    """How long travel from the last visited point should take; None: the point is not planned."""
    plan = {point.point_id: point for point in mission.points}
    if point_id not in plan:
        return None
    target = plan[point_id]
    visited = [plan[event.point_id].position for event in so_far if event.point_id in plan]
    last_position = visited[-1] if visited else 0
    if target.position <= last_position:
        return target.eta
    return sum(
        (
            point.eta
            for point in mission.points
            if last_position < point.position <= target.position
        ),
        start=timedelta(0),
    )
