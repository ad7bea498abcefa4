"""The time axis that the bars of a page share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from notifier.web.board.answers import Mission, MissionStory

SPANS: Final = tuple(timedelta(minutes=minutes) for minutes in (30, 60, 120, 240, 480, 1440))
TICKS: Final = tuple(timedelta(minutes=m) for m in (5, 10, 15, 30, 60, 120, 240, 480, 1440))


@dataclass(frozen=True)
class Axis:
    """Maps times to positions, in percent of the width."""

    start: datetime
    now: datetime
    end: datetime

    def x(self, time: datetime) -> float:
        """The position of a time; a time outside the axis is at its nearest end."""
        share = (time - self.start) / (self.end - self.start)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def width(self, since: datetime, until: datetime) -> float:
        """The visible width of a time span."""
        return round(max(self.x(until) - self.x(since), 0.0), 2)

    def holds(self, time: datetime | None) -> bool:
        """Whether a time lies on the axis."""
        return time is not None and self.start <= time <= self.end

    def ticks(self, time_zone: tzinfo) -> list[datetime]:
        """At most six round times on the time zone's clock."""
        length = self.end - self.start
        step = next((tick for tick in TICKS if length / tick <= 6), length / 6)
        midnight = self.start.astimezone(time_zone).replace(hour=0, minute=0, second=0)
        midnight = midnight.replace(microsecond=0)
        first = math.ceil((self.start - midnight) / step)
        ticks = (midnight + step * n for n in range(first, first + 8))
        margin = length / 40
        return [tick for tick in ticks if self.start + margin <= tick <= self.end - margin]


def common_axis(missions: Iterable[Mission], now: datetime) -> Axis:
    """The shortest of SPANS in which nine of ten open intervals have begun: one courier who has
    been away for days must not squeeze everybody else's bar."""
    ages = sorted(now - mission.current.started_at for mission in missions if mission.current)
    typical = ages[(len(ages) - 1) * 9 // 10] if ages else SPANS[0]
    span = next((span for span in SPANS if typical <= span), SPANS[-1])
    return Axis(now - span, now, now + span / 4)


def own_axis(mission: MissionStory) -> Axis:
    """The whole mission: until it ended, or until a little after now and its open limit."""
    now = mission.as_of
    if not mission.intervals:
        return common_axis((), now)
    current = mission.current
    start = mission.intervals[0].started_at
    end = max(interval.finished_at or now for interval in mission.intervals)
    if current and current.deadline:
        # A limit far in the future would squeeze what has happened into nothing.
        end = max(end, min(current.deadline, now + (now - start)))
    margin = max((end - start) / 20, timedelta(minutes=1))
    return Axis(start - margin, now, end + margin)
