"""Matches, calendars and overrides in plain Python: values in, values out.

It was written from the text of DESIGN.md, not from the SQL; test_override_properties.py compares
the two. Where the text is ambiguous, it is read as follows:

- Values compare as in JSON: 5 equals 5.0, but neither "5" nor true. A list, an object, null and a
  missing attribute equal nothing.
- `mission_id` and `performer_id` are the mission's, whatever attributes have these names.
- A calendar that ends before it begins, or at 00:00, ends on the next day.
- The name of a time zone in an attribute is known in any case of its letters. Where it is unknown,
  missing, or not a text, the default zone counts.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OF_THE_EVENT = ("type", "job_type", "point_id", "mission_id", "performer_id")
ZONES = {name.lower(): zoneinfo.ZoneInfo(name) for name in zoneinfo.available_timezones()}

Match = Mapping[str, Any]
"""As in config.json."""


@dataclass(frozen=True)
class Calendar:
    begins: str
    ends: str
    days: tuple[str, ...] = DAYS
    time_zone: str | None = None
    zone_attribute: str | None = None

    def covers(self, at: datetime, attributes: Mapping[str, Any], default_zone: str) -> bool:
        """Whether the clock on the wall, at that time, shows one of its times."""
        named = attributes.get(self.zone_attribute) if self.zone_attribute else self.time_zone
        zone = ZONES.get(named.lower()) if isinstance(named, str) else None
        shown = at.astimezone(zone or ZONES[default_zone.lower()]).replace(tzinfo=None)
        midnight = shown.replace(hour=0, minute=0, second=0, microsecond=0)
        for begins_on in (midnight, midnight - timedelta(days=1)):
            begin = begins_on + time_of_day(self.begins)
            end = begins_on + time_of_day(self.ends)
            if end <= begin:
                end += timedelta(days=1)
            if DAYS[begins_on.weekday()] in self.days and begin <= shown < end:
                return True
        return False


def time_of_day(text: str) -> timedelta:
    hours, minutes = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))


@dataclass(frozen=True)
class Calendars:
    by_name: Mapping[str, Calendar] = field(default_factory=dict)
    default_zone: str = "UTC"

    def cover(self, name: str, at: datetime, attributes: Mapping[str, Any]) -> bool:
        return self.by_name[name].covers(at, attributes, self.default_zone)


@dataclass(frozen=True)
class Override:
    name: str
    match: Match
    factors: Mapping[str, float] = field(default_factory=dict)
    """By type of timeout."""
    minimums: Mapping[str, timedelta] = field(default_factory=dict)
    """By type of timeout."""
    job_etas: Mapping[str, timedelta] = field(default_factory=dict)
    """By type of job."""
    default_job_eta: timedelta | None = None


def first_override(
    overrides: Sequence[Override], facts: Mapping[str, Any], at: datetime, calendars: Calendars
) -> Override | None:
    """The one that decides about an interval that starts at that time; None: the default rule."""
    return next((each for each in overrides if holds(each.match, facts, at, calendars)), None)


def holds(match: Match, facts: Mapping[str, Any], at: datetime, calendars: Calendars) -> bool:
    """Whether every key of the match accepts the facts: those OF_THE_EVENT and `attributes`."""
    return all(
        any(accepts(key, choice, facts, at, calendars) for choice in listed(choices))
        for key, choices in match.items()
    )


def listed(choices: Any) -> list[Any]:
    return choices if isinstance(choices, list) else [choices]


def accepts(
    key: str, choice: Any, facts: Mapping[str, Any], at: datetime, calendars: Calendars
) -> bool:
    attributes = facts["attributes"]
    if key == "at":
        return calendars.cover(choice, at, attributes)
    return is_equal(facts.get(key) if key in OF_THE_EVENT else attributes.get(key), choice)


def is_equal(value: Any, choice: Any) -> bool:
    """Whether JSON values are equal; in Python, True equals 1."""
    return isinstance(value, bool) == isinstance(choice, bool) and bool(value == choice)
