"""The values that the notifier exchanges with the database. None of them touches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from notifier import steps
from notifier.notification_types import DIGEST_TYPE


@dataclass(frozen=True)
class Notification:
    """A fact worth telling: an overdue interval or a skipped job."""

    idempotency_token: str
    type: str
    mission_id: str
    point_id: str | None
    job_id: str | None
    details: Mapping[str, Any]
    resolution: str | None = None
    ended_at: datetime | None = None
    """When the interval ended, as known when it was resolved."""
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None

    def facts(
        self,
        step: str = "alert",
        as_of: datetime | None = None,
        told: Sequence[Mapping[str, Any]] = (),
        silenced: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What templates may print of a step, such as escalation_2; see notifier.templates. `as_of`
        is now, for steps that say how long it has lasted by now; `silenced` is what held it."""
        facts = {
            "rule": None,  # which an earlier version did not store
            **self.details,
            "token": self.idempotency_token,
            "type": self.type,
            "mission_id": self.mission_id,
            "point_id": self.point_id,
            "job_id": self.job_id,
            "step": steps.kind(step),
            "level": steps.level(step),
            "told": [_place(each) for each in told],
            "resolution": self.resolution,
            "acknowledged_at": self.acknowledged_at,
            "acknowledged_by": self.acknowledged_by,
            **_silence(silenced or {}),
        }
        for key, value in self.details.items():
            if key.endswith("_at") and isinstance(value, str):
                facts[key] = _timestamp(value)
            elif key.endswith("_seconds") and isinstance(value, int | float):
                facts[key.removesuffix("_seconds")] = _duration(value)
        if self.ended_at is not None:
            facts["finished_at"] = self.ended_at
        started_at = facts.get("started_at")
        until = self.ended_at or (as_of if facts["step"] in steps.LATER_ALARMS else None)
        if isinstance(started_at, datetime) and until is not None:
            facts["elapsed"] = until - started_at
        elapsed, limit = facts.get("elapsed"), facts.get("limit")
        if isinstance(elapsed, timedelta) and isinstance(limit, timedelta):
            facts["over"] = elapsed - limit
        return facts


def _place(told: Mapping[str, Any]) -> str:
    """The chat, or what names its queue itself: Telegram -1001, DUTY-17. Short, so that several fit
    into a message."""
    address, reference = told["address"], told["reference"] or ""
    if reference.startswith(address):
        return str(reference)[:30]
    return f"{told['channel'].capitalize()} {address}"[:30]


def _silence(silenced: Mapping[str, Any]) -> dict[str, Any]:
    until = silenced.get("until")
    return {
        "silenced_until": until and _timestamp(until),
        "silenced_by": silenced.get("by"),
        "silenced_because": silenced.get("comment"),
    }


def _late(courier: Mapping[str, Any]) -> dict[str, Any]:
    """One of the worst in a digest."""
    over = courier["over_seconds"]
    rest = {key: value for key, value in courier.items() if key != "over_seconds"}
    return {**rest, "over": None if over is None else _duration(over)}


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
class StoredConfig:
    """A config that was applied: when, by which user of the database, and why."""

    config_id: int
    applied_at: datetime
    applied_by: str
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class Delivery(Notification):
    """A leased step of a notification for one recipient."""

    recipient_id: int
    channel: str
    target: Mapping[str, Any]
    attempts: int
    """How many attempts there were, including this one."""
    is_in_doubt: bool
    """An earlier lease ran out, so the message may have been sent already."""
    waited: timedelta
    """Time from the notification's insertion to this lease; of a later step: since it was due."""
    idempotency_key: str
    """The channel's idempotency key, the same in each attempt."""
    step: str = "alert"
    """alert, escalation_N, reminder_N, acknowledged or resolved, as in notification_steps."""
    earlier: Mapping[str, Any] | None = None
    """The message that the step changes or answers: key, reference and address."""
    told: Sequence[Mapping[str, Any]] | None = None
    """Who was told before an escalation: channel, address, reference and sent_at of each."""
    as_of: datetime | None = None
    """The time of the lease."""
    button: str | None = None
    """What a button to acknowledge the notification sends back."""
    silenced: Mapping[str, Any] | None = None
    """Until when a silence held the alert, whose it was, and why: until, by, comment."""
    digest: Mapping[str, Any] | None = None
    """What it tells of, together with others that waited; None: of itself alone."""

    def digest_facts(self, digest: Mapping[str, Any]) -> dict[str, Any]:
        """What templates may print of a digest, except board_url; see notifier.templates."""
        return {
            **digest,
            "token": self.idempotency_token,
            "type": DIGEST_TYPE,
            "step": steps.kind(self.step),
            "since": _timestamp(digest["since"]),
            "worst": [_late(each) for each in digest["worst"]],
        }

    def digest_filters(self, digest: Mapping[str, Any]) -> dict[str, str]:
        """The filters by which the board shows what a digest tells of, as far as all of it has
        something in common."""
        types = [each["type"] for each in digest["types"]]
        cities = digest["cities"]
        filters = {}
        if len(types) == 1:
            filters["type"] = types[0]
        if len(cities) == 1 and not digest["without_city"]:
            filters["city"] = cities[0]["city"]
        if "job_skipped" not in types:
            filters["overdue"] = "1"
        return filters

    @property
    def is_open(self) -> bool:
        """Nobody has acknowledged it, and it goes on."""
        return self.acknowledged_at is None and self.resolution is None


@dataclass(frozen=True)
class Result:
    """What to record of a leased recipient.

    state          sent, pending (try again after delay_seconds), failed or in_doubt
    is_attempt     False: this attempt does not count against the recipient
    is_blocked     no message can be rendered until a person fixes something
    reference      the message's id or the ticket's key, if sent
    sent_to        the chat that has the message, if the channel names it
    is_earlier     an earlier attempt made the message, which says what was known then
    is_in_doubt    the message may have been sent
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
    sent_to: str | None = None
    is_earlier: bool = False
    is_in_doubt: bool = False
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


@dataclass(frozen=True)
class SeenValue:
    """How many missions of the last 30 days had a value; a row of seen_values().

    value         None: how many have the attribute at all; key None as well: how many there are
    is_time_zone  whether the server knows the time zone; None: not asked
    """

    key: str | None
    value: Any
    missions: int
    is_time_zone: bool | None = None


@dataclass(frozen=True)
class Pressed:
    """What came of the press of a button: acknowledged, already, resolved, elsewhere, unknown or
    failed."""

    press_id: str
    result: str
    acknowledged_by: str | None


@dataclass(frozen=True)
class Silence:
    """A row of the view silence_status."""

    silence_id: int
    match: Mapping[str, Any]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str
    ended_at: datetime | None
    ended_by: str | None
    is_active: bool
    alerts_held: int
    """How many alerts wait for its end now."""
    alerts_total: int
    """How many it holds or was the last to hold."""


@dataclass(frozen=True)
class Held:
    """A row of preview_silence(): a notification whose alerts a silence would have held."""

    idempotency_token: str
    type: str
    mission_id: str
    created_at: datetime
    held: timedelta
    would_be_told: bool
    """False: it was resolved while it was held."""
