"""The benchmark's fleets: the same at each run, and known to the last overdue mission.

A fleet is a database. Its missions have 8 points with 2 jobs each and are midway: mission i has
i % 16 events after its start, 400 s apart. Every 33rd (3 %) has been overdue for an hour and is
notified. The others fall due over the 10 minutes after the fleet's start, in steps: exactly `due`
of them, spread over the whole fleet, at each step. Nobody writes: a moment later the next step is
due. Finished missions end at least two days, and at most ninety, before the start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

OVERDUE_EVERY = 33
WINDOW = timedelta(minutes=10)
"""Shorter than the shortest limit, so that no event lies after the fleet's start."""
EVENTS_OF_A_FINISHED_MISSION = 18

PLAN: tuple[LiteralString, ...] = (
    """
    insert into scooters_ops.missions (mission_id, performer_id, status, attributes)
    select %(prefix)s || i, 'courier-' || i, %(status)s, '{"city": "Moscow"}'
    from generate_series(%(first)s, %(last)s) as i
    """,
    """
    insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
    select %(prefix)s || i, 'point-' || p, p, interval '600 s'
    from generate_series(%(first)s, %(last)s) as i, generate_series(1, 8) as p
    """,
    """
    insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, status)
    select
        %(prefix)s || i, 'point-' || p, 'job-' || j, (array['battery_exchange', 'pickup'])[j],
        case %(status)s when 'completed' then 'completed' else 'planned' end
    from
        generate_series(%(first)s, %(last)s) as i,
        generate_series(1, 8) as p, generate_series(1, 2) as j
    """,
    """
    insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
    select
        %(prefix)s || i,
        case when event between 1 and 16 then 'point-' || (event + 1) / 2 end,
        case
            when event = 0 then 'mission_started'
            when event = 17 then 'mission_completed'
            when event %% 2 = 1 then 'point_arrived'
            else 'point_completed'
        end,
        last_at - interval '400 s' * (events - event)
    from generate_series(%(first)s, %(last)s) as i,
    """,
)
"""The last of them lacks what says of mission i how many events it has, and when the last was."""

ACTIVE: LiteralString = """
    lateral (select i - i / %(overdue_every)s - 1 as place) as falls_due,
    lateral (
        select
            i %% 16 as events,
            %(start)s::timestamptz + make_interval(secs => case
                when i %% %(overdue_every)s = 0 then -3600
                when place >= %(steps)s * %(due)s then %(window)s + 100
                else
                    (place %% %(steps)s + 0.05 + 0.85 * (place / %(steps)s) / %(due)s)
                    * %(window)s / %(steps)s
            end - case i %% 2 when 0 then 900 else 720 end) as last_at
    ) as state,
    generate_series(0, events) as event
    """
"""The limits are config.json's: on the way 600 s * 1.5, at a point (300 s + 180 s) * 1.5."""
FINISHED: LiteralString = """
    lateral (
        select
            17 as events,
            %(start)s::timestamptz - interval '2 days'
            - interval '88 days' * ((%(missions)s - i)::float8 / %(missions)s) as last_at
    ) as state,
    generate_series(0, events) as event
    """


class WrongCount(Exception):
    """Not exactly what the fleet was built to have due was found: no figure is to be trusted."""

    @classmethod
    def unless(cls, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise cls(f"{what}: {found}, not {expected}")


def short(number: int) -> str:
    """1000000 is 1M, 10000 is 10k."""
    return re.sub("000$", "k", re.sub("000000$", "M", str(number)))


@dataclass(frozen=True)
class Fleet:
    """A fleet's measures, and what is due in it when: `due` missions at each step."""

    active: int
    finished_events: int
    due: int
    start: datetime
    database: str = ""

    @property
    def label(self) -> str:
        return f"{short(self.active)} +{short(self.finished_events)}"

    @property
    def overdue(self) -> int:
        """How many missions are overdue, and notified, at the start."""
        return self.active // OVERDUE_EVERY

    @property
    def steps(self) -> int:
        return (self.active - self.overdue) // self.due

    def moment(self, step: int) -> datetime:
        """After the deadlines of a step, before those of the next; step -1 is the start."""
        if not -1 <= step < self.steps:
            raise WrongCount(f"a fleet of {self.active} has no step {step}")
        return self.start + WINDOW * max((step + 0.95) / self.steps, 0)
