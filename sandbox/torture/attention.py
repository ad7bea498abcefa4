"""What people change while the notifiers work: silences, digests, overrides and calendars."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

TIME_ZONES: Sequence[str | None] = ("Asia/Omsk", "Asia/Kolkata", None, "Nowhere/At_All")
"""What missions say of their time zone. The last two count as the default's."""
DEFAULT_ZONE = "Europe/Moscow"
DIGESTS_ABOVE = (None, 1, 2, 5, 20)


@dataclass(frozen=True)
class Silence:
    """A silence, and what is certain of its time (seconds since 1970).

    placed_at  when it was committed at the latest
    ends_from  when it ended at the earliest
    ends_by    when it ended at the latest
    """

    silence_id: int
    match: Mapping[str, str]
    placed_at: float
    ends_from: float
    ends_by: float

    @property
    def is_sure(self) -> bool:
        """Whether `matches` is certain: calendars change."""
        return "at" not in self.match

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Whether it holds the alerts of a notification with these facts, but for calendars."""
        return all(facts[key] == value for key, value in self.match.items() if key != "at")


@dataclass(frozen=True)
class Hide:
    """When overrides were certainly in force that hid the timeouts of some zones (seconds since
    1970)."""

    zones: Sequence[int]
    began_at: float
    ends_at: float = math.inf

    def hides(self, facts: Mapping[str, str]) -> bool:
        """Whether it hides a notification with these facts."""
        is_timeout = facts["type"].startswith("timeout_")
        return is_timeout and int(facts["zone"].removeprefix("z")) in self.zones


@dataclass(frozen=True)
class Attention:
    """The parts of a config that change.

    digests_above  by channel
    hidden_zones   their timeouts are none as long as these overrides are in force
    early_from     the time from which the calendar "early" holds, by the default's clock; "late"
                   holds at all other times
    """

    digests_above: Mapping[str, int | None]
    hidden_zones: Sequence[int] = ()
    early_from: datetime | None = None

    @classmethod
    def any(cls, chance: random.Random, zones: int) -> Attention:
        """Some of everything. Half of the time a calendar changes within the next minute."""
        at = datetime.now(UTC) + timedelta(minutes=chance.choice((1, -7)))
        return cls(
            {channel: chance.choice(DIGESTS_ABOVE) for channel in ("telegram", "st")},
            chance.sample(range(zones), chance.randint(0, min(zones, 3))),
            at,
        )

    def calendars(self) -> dict[str, Any]:
        """Two that share each day and night, whatever the time zone."""
        early_from = self.early_from or datetime.now(UTC)
        begins, ends = (
            each.astimezone(ZoneInfo(DEFAULT_ZONE)).strftime("%H:%M")
            for each in (early_from, early_from + timedelta(hours=12))
        )
        zone = {"attribute": "time_zone"}
        return {
            "early": {"from": begins, "to": ends, "time_zone": zone},
            "late": {"from": ends, "to": begins, "time_zone": zone},
        }

    def overrides(self) -> list[dict[str, Any]]:
        """The first ones hide timeouts; the last one changes what they are called."""
        hidden = [
            {
                "name": f"hidden-{zone}",
                "match": {"zone": f"z{zone}", "at": ["early", "late"]},
                "timeouts": {"timeout_in_point": {"factor": 100}},
            }
            for zone in self.hidden_zones
        ]
        late = {
            "name": "late",
            "match": {"at": "late"},
            "timeouts": {"timeout_in_point": {"factor": 2}},
        }
        return [*hidden, late]

    def change(self, config: dict[str, Any]) -> None:
        """Put all this into a config. Each of its routes becomes two, one for each calendar."""
        config["notifier"]["time_zone"] = DEFAULT_ZONE
        config["calendars"] = self.calendars()
        config["detection"]["overrides"] = self.overrides()
        config["routes"] = [
            {**route, "match": {**route["match"], "at": calendar}}
            for route in config["routes"]
            for calendar in ("early", "late")
        ]
        for channel, digest_above in self.digests_above.items():
            config["channels"][channel]["digest_above"] = digest_above
