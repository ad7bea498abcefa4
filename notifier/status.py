"""What `notifier status` says: whether a person is needed, and what for.

`Status.read` asks the database's views; the rest takes values and returns text or JSON. Ages are by
the database's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from notifier import config as configs
from notifier.config import ConfigError
from notifier.database import (
    ConfigStatus,
    Database,
    DeliveryStatus,
    DetectionStatus,
    Hold,
    NotifierStatus,
    RecipientStatus,
)

FEW = 5
"""How many recipients, holds and notifiers the text shows; JSON has them all."""
WAITING = ("pending", "retrying", "sending")


@dataclass(frozen=True)
class Status:
    """All that the views say."""

    in_force: ConfigStatus
    detection: DetectionStatus
    deliveries: Sequence[DeliveryStatus]
    recipients: Sequence[RecipientStatus]
    holds: Sequence[Hold]
    notifiers: Sequence[NotifierStatus]

    @classmethod
    async def read(cls, database: Database) -> Self:
        return cls(
            await database.config_status(),
            await database.detection_status(),
            await database.delivery_status(),
            await database.recipient_status(),
            await database.holds(),
            await database.notifier_status(),
        )

    @property
    def now(self) -> datetime:
        return self.in_force.as_of

    @property
    def paused(self) -> list[Hold]:
        """The channels that are paused."""
        return [hold for hold in self.holds if hold.address is None]

    @property
    def alive(self) -> list[NotifierStatus]:
        return [notifier for notifier in self.notifiers if notifier.is_alive]

    def due_since(self) -> datetime | None:
        """Since when something waits for a notifier; None: nothing does."""
        moments = [
            moment
            for row in self.deliveries
            if row.state in WAITING or row.state == "unplanned"
            if (moment := row.next_attempt_at or row.oldest_created_at) <= self.now
        ]
        return min(moments, default=None)

    def is_unattended(self) -> bool:
        """Whether something is due, and for as long as a notifier may be silent there was none."""
        due_since = self.due_since()
        missing_after = self.in_force.notifier_missing_after or timedelta(0)
        return not self.alive and due_since is not None and self.now - due_since > missing_after


def advice(status: Status) -> list[str]:
    """What a person must do, a line each; empty: nothing."""
    return [*_advice(status)]


def _advice(status: Status) -> Iterator[str]:
    if status.detection.is_stalled:
        yield "Detection has stopped: see make status for pg_cron's own account."
        if status.detection.lock_holder:
            yield f"Passes wait for the detection lock, held by {status.detection.lock_holder}."
    if status.in_force.config_id is None:
        yield "No config is in force: make config"
    else:
        try:
            configs.parse(status.in_force.config)
        except ConfigError as error:
            yield f"No notifier can use the config in force: {error.problems[0]}"
    for hold in status.paused:
        yield (
            f"Channel {hold.channel} is paused, since it is refused: {hold.reason}. Mend that (a"
            " new token wants a restart of the notifiers); it then goes on by itself."
        )
    if status.is_unattended():
        yield "No notifier is alive, and something is due: start one, or see why it died."
    elif any(row.is_stuck for row in status.deliveries):
        yield "Nobody takes what is due: is the channel configured, and what does the log say?"
    states = {row.state for row in status.deliveries}
    if "failed" in states:
        yield "Mend what the errors name, then: notifier retry --failed"
    if "in_doubt" in states:
        yield (
            "Look whether doubtful messages arrived. If so: notifier retry TOKEN --as-sent; to send"
            " them again: notifier retry TOKEN"
        )


# --- For a person --------------------------------------------------------------------------------


def text(status: Status) -> str:
    """Compact, however much there is."""
    return "\n".join(
        [
            _detection(status),
            *_notifiers(status),
            *_deliveries(status),
            *_recipients(status),
            *_holds(status),
            *(advice(status) or ["Nothing needs a person."]),
        ]
    )


def _detection(status: Status) -> str:
    detection = status.detection
    if detection.last_pass_at is None:
        line = "no pass yet"
    else:
        line = (
            f"last pass {_age(status.now - detection.last_pass_at)} ago, "
            f"{detection.last_pass_missions} missions, {detection.last_pass_inserted} inserted"
        )
    if detection.lock_waiters:
        line += f"; {detection.lock_waiters} waits for {detection.lock_holder}"
    return f"Detection: {line}" + ("" if detection.is_enabled else "; disabled by config")


def _notifiers(status: Status) -> Iterator[str]:
    if not status.notifiers:
        yield "Notifiers: none"
        return
    dead = [notifier for notifier in status.notifiers if not notifier.is_alive]
    yield f"Notifiers: {len(status.alive)} alive" + (f", {len(dead)} dead" if dead else "")
    dead.sort(key=lambda notifier: notifier.seen_at, reverse=True)
    alive = sorted(status.alive, key=lambda notifier: -notifier.leases)
    yield from _few(
        f"  {each.name}: {'' if each.is_alive else 'dead, '}"
        f"seen {_age(status.now - each.seen_at)} ago, {each.leases} leases"
        + ("" if each.is_alive or not each.leases else ", which come back by themselves")
        for each in (*dead[:FEW], *alive, *dead[FEW:])
    )


def _deliveries(status: Status) -> Iterator[str]:
    if not status.deliveries:
        yield "Deliveries: nothing waits"
        return
    yield f"{'channel':<10} {'state':<10} {'count':>7} {'oldest':>8}  error"
    for row in status.deliveries:
        yield (
            f"{row.channel or '-':<10} {row.state:<10} {_count(row):>7}"
            f" {_age(status.now - row.oldest_created_at):>8}  {row.sample_error or ''}".rstrip()
        )


def _recipients(status: Status) -> Iterator[str]:
    """Those that failed, those in doubt, then those that have waited longest."""
    gravity = {"failed": 0, "in_doubt": 1}
    rows = sorted(
        status.recipients, key=lambda row: (gravity.get(row.state, 2), row.oldest_created_at)
    )
    if rows:
        yield "Recipients, the worst first:"
    yield from _few(
        f"  {row.channel} {row.address}: {_count(row)} {row.state},"
        f" for {_age(status.now - row.oldest_created_at)}"
        for row in rows
    )


def _holds(status: Status) -> Iterator[str]:
    held = sorted(
        (hold for hold in status.holds if hold.address is not None),
        key=lambda hold: hold.held_until,
        reverse=True,
    )
    for hold in status.paused:
        yield (
            f"Paused: {hold.channel}, tried again in {_age(hold.held_until - status.now)}:"
            f" {hold.reason}"
        )
    if held:
        yield "Held back for a while:"
    yield from _few(
        f"  {hold.channel} {hold.address}, for {_age(hold.held_until - status.now)}: {hold.reason}"
        for hold in held
    )


def _few(lines: Iterable[str]) -> Iterator[str]:
    """The first few, and how many are left out."""
    everything = [*lines]
    yield from everything[:FEW]
    if len(everything) > FEW:
        yield f"  and {len(everything) - FEW} more: notifier status --json"


def _count(row: DeliveryStatus | RecipientStatus) -> str:
    return f"{row.recipients}+" if row.is_lower_bound else str(row.recipients)


def _age(age: timedelta) -> str:
    seconds = max(int(age.total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


# --- For a program -------------------------------------------------------------------------------


def document(status: Status) -> Mapping[str, Any]:
    """The same and more as JSON: moments in ISO 8601, durations in seconds (`_seconds`)."""
    lines = advice(status)
    detection = _plain(status.detection)
    elapsed = detection.pop("last_pass_elapsed")
    detection["last_pass_elapsed_seconds"] = None if elapsed is None else _seconds(elapsed)
    return {
        "as_of": status.now.isoformat(),
        "is_person_needed": bool(lines),
        "advice": lines,
        "config_id": status.in_force.config_id,
        "detection": detection,
        "notifiers": [
            {**_plain(row), "seen_age_seconds": _seconds(status.now - row.seen_at)}
            for row in status.notifiers
        ],
        "deliveries": [_aged(status, row) for row in status.deliveries],
        "recipients": [_aged(status, row) for row in status.recipients],
        "holds": [
            {**_plain(row), "held_for_seconds": _seconds(row.held_until - status.now)}
            for row in status.holds
        ],
    }


def _aged(status: Status, row: DeliveryStatus | RecipientStatus) -> Mapping[str, Any]:
    return {**_plain(row), "oldest_age_seconds": _seconds(status.now - row.oldest_created_at)}


def _plain(row: Any) -> dict[str, Any]:
    """A row as JSON has it."""
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in asdict(row).items()
    }


def _seconds(age: timedelta) -> float:
    return max(age.total_seconds(), 0.0)
