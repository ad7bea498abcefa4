"""The benchmark's fleets: the same in every run, so that it is known which missions are overdue.

A fleet is a database. Its missions have 8 points with 2 jobs each and are under way: mission i has
i % 16 events after its start, 400 s apart. Every 33rd mission (3 %) has been overdue for an hour
and is notified. The others become overdue in steps during the 10 minutes after the fleet's start:
exactly `due` missions, spread over the whole fleet, at each step. Nobody writes in between.
Finished missions ended between ninety and two days before the start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

OVERDUE_EVERY = 33
WINDOW = timedelta(minutes=10)
"""How long after its start a fleet falls due: less than the shortest limit, so that every event is
before the start."""
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
    order by i, p
    """,
    """
    insert into scooters_ops.mission_jobs (mission_id, point_id, job_id, type, status)
    select
        %(prefix)s || i, 'point-' || p, 'job-' || j, (array['battery_exchange', 'pickup'])[j],
        case %(status)s when 'completed' then 'completed' else 'planned' end
    from
        generate_series(%(first)s, %(last)s) as i,
        generate_series(1, 8) as p, generate_series(1, 2) as j
    order by i, p, j
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
"""The rows of a plan. The last statement is completed by ACTIVE or FINISHED, which say how many
events mission i has and when the last one was."""

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
"""With the limits of config.json: 600 s * 1.5 on the way, (300 s + 180 s) * 1.5 at a point."""
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
    """A count differs from what the fleet was built to have; no figure can be trusted."""

    @classmethod
    def unless(cls, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise cls(f"{what}: {found}, not {expected}")


def short(number: int) -> str:
    """1000000 becomes 1M, 10000 becomes 10k."""
    return re.sub("000$", "k", re.sub("000000$", "M", str(number)))


@dataclass(frozen=True)
class Fleet:
    """The size of a fleet. `due` missions become overdue at each step."""

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
        """How many missions are overdue and notified at the start."""
        return self.active // OVERDUE_EVERY

    @property
    def steps(self) -> int:
        return (self.active - self.overdue) // self.due

    def time_of(self, step: int) -> datetime:
        """A time after the deadlines of a step and before those of the next; -1 is the start."""
        if not -1 <= step < self.steps:
            raise WrongCount(f"a fleet of {self.active} has no step {step}")
        return self.start + WINDOW * max((step + 0.95) / self.steps, 0)
