"""The values that the notifier exchanges with the database. None of them touches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Notification:
    """A fact worth telling: an overdue interval or a skipped job."""

    idempotency_token: str
    type: str
    mission_id: str
    point_id: str | None
    job_id: str | None
    details: Mapping[str, Any]

    def facts(self) -> dict[str, Any]:
        """What templates may print; see notifier.templates."""
        facts = {
            **self.details,
            "token": self.idempotency_token,
            "type": self.type,
            "mission_id": self.mission_id,
            "point_id": self.point_id,
            "job_id": self.job_id,
        }
        for key, value in self.details.items():
            if key.endswith("_at") and isinstance(value, str):
                facts[key] = _timestamp(value)
            elif key.endswith("_seconds") and isinstance(value, int | float):
                facts[key.removesuffix("_seconds")] = _duration(value)
        elapsed, limit = facts.get("elapsed"), facts.get("limit")
        if isinstance(elapsed, timedelta) and isinstance(limit, timedelta):
            facts["over"] = elapsed - limit
        return facts


def _timestamp(text: str) -> datetime | None:
    """None if Python cannot hold it, such as a year after 9999."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _duration(seconds: float) -> timedelta | None:
    """None if Python cannot hold it."""
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


@dataclass(frozen=True)
class Delivery(Notification):
    """A leased recipient of a notification."""

    recipient_id: int
    channel: str
    target: Mapping[str, Any]
    attempts: int
    """How many attempts there were, including this one."""
    is_in_doubt: bool
    """An earlier lease ran out, so the message may have been sent already."""
    waited: timedelta
    """Time from the notification's insertion to this lease."""
    idempotency_key: str
    """The channel's idempotency key, the same in each attempt."""


@dataclass(frozen=True)
class Result:
    """What to record of a leased recipient.

    state          sent, pending (try again after delay_seconds), failed or in_doubt
    is_attempt     False: this attempt does not count against the recipient
    is_blocked     no message can be rendered until a person fixes something
    reference      the message's id or the ticket's key, if sent
    hold_seconds   send nothing to this chat or queue for this long
    is_channel_refused   the channel refuses all our messages
    is_channel_accepted  the channel accepted our credentials, whatever it said about this message
    moved_to       the changed fields of the target, if it has moved
    """

    recipient_id: int
    state: str
    is_attempt: bool = True
    is_blocked: bool = False
    delay_seconds: float = 0
    error: str | None = None
    reference: str | None = None
    hold_seconds: float = 0
    is_channel_refused: bool = False
    is_channel_accepted: bool = False
    moved_to: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NextDelivery:
    """When asking for leases is worth it again."""

    wait_seconds: float | None
    """None: nothing is waiting."""
    is_limited: bool
    """Something is due, and only a rate limit holds it back."""


@dataclass(frozen=True)
class Hold:
    """A row of the view delivery_holds: a chat or queue that gets nothing for a while, or, without
    an address, a paused channel."""

    channel: str
    address: str | None
    held_until: datetime
    reason: str | None
    failures: int
    is_long: bool
    """A chat or queue that is held for longer than stuck_after_seconds from now."""


@dataclass(frozen=True)
class TestResult:
    """What has become of one message of `notifier test`; a row of test_results()."""

    __test__ = False
    recipient_id: int
    channel: str
    target: Mapping[str, Any]
    state: str
    """pending, retrying, blocked, sending, sent, failed, in_doubt or cancelled."""
    attempts: int
    error: str | None
    reference: str | None
