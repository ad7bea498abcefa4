"""The board's filters, as its URLs carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from notifier.notification_types import NOTIFICATION_TYPES

MAX_FILTER_LENGTH: Final = 200


@dataclass(frozen=True)
class Filters:
    """Which missions and notifications to show; an empty filter lets all pass."""

    type: str = ""
    city: str = ""
    performer: str = ""
    is_overdue: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        """The filters of a URL's query. Unknown keys and types are ignored."""
        texts = {
            name: query.get(name, "").replace("\0", "").strip()[:MAX_FILTER_LENGTH]
            for name in ("type", "city", "performer")
        }
        if texts["type"] not in NOTIFICATION_TYPES:
            texts["type"] = ""
        return cls(**texts, is_overdue=query.get("overdue") == "1")

    @property
    def count(self) -> int:
        """How many of them are set."""
        return sum(map(bool, (self.type, self.city, self.performer, self.is_overdue)))

    def parameters(self) -> tuple[Any, ...]:
        """The parameters of scooters_ops.board(): type, city, performer, only overdue."""
        return (self.type or None, self.city or None, self.performer or None, self.is_overdue)

    def query(self, **others: str) -> str:
        """The query of a URL with these filters and `others`."""
        own = {"type": self.type, "city": self.city, "performer": self.performer}
        own["overdue"] = "1" if self.is_overdue else ""
        return urlencode({key: value for key, value in (own | others).items() if value})
