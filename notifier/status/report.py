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
from notifier.database.statements import (
    ConfigStatus,
    Database,
    DeliveryStatus,
    DetectionStatus,
    Hold,
    NotifierStatus,
    RecipientStatus,
)
from notifier.text import escaped

FEW = 5
"""How many recipients, holds and notifiers the text shows; JSON has them all."""
WAITING = ("pending", "retrying", "blocked", "sending")


JOBS_VERDICT = "a person is needed"
"""How sql/cron/status.sql ends where something is wrong, after a line for each thing."""


@dataclass(frozen=True)
class JobsStatus:
    """How sql/cron/status.sql ended, and what it wrote to standard error."""

    exit_code: int
    errors: str

    def advice(self) -> list[str]:
        lines = [line for line in self.errors.splitlines() if JOBS_VERDICT not in line]
        if self.exit_code and not lines:
            return [f"psql ended with {self.exit_code}, and did not say why."]
        return lines


@dataclass(frozen=True)
class Status:
    """All that the views say."""

    in_force: ConfigStatus
    detection: DetectionStatus
    deliveries: Sequence[DeliveryStatus]
    recipients: Sequence[RecipientStatus]
    holds: Sequence[Hold]
    notifiers: Sequence[NotifierStatus]
    jobs: JobsStatus | None = None
    """None: pg_cron was not asked."""

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
    def held_for_long(self) -> list[Hold]:
        """The chats and queues that are held for so long that somebody should know, the longest
        first."""
        held = [hold for hold in self.holds if hold.is_long]
        return sorted(held, key=lambda hold: hold.held_until, reverse=True)

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
    if status.jobs is not None:  # they say it with its cause
        yield from status.jobs.advice()
    elif status.detection.is_stalled:
        yield "Detection has stopped: notifier status --jobs (make status) asks pg_cron why."
    if status.detection.is_stalled and status.detection.lock_holder:
        yield f"Passes wait for the detection lock, held by {status.detection.lock_holder}."
    if status.in_force.config_id is None:
        yield "No config is in force: make config"
    else:
        try:
            configs.parse_stored(status.in_force.config)
        except ConfigError as error:
            yield f"No notifier can use the config in force: {error.problems[0]}"
    for hold in status.paused:
        yield (
            f"Channel {hold.channel} is paused, since it is refused: {hold.reason}. Mend that (a"
            " new token wants a restart of the notifiers); it then goes on by itself."
        )
    if held := status.held_for_long:
        others = f" and {len(held) - 1} more" if len(held) > 1 else ""
        yield (
            f"{held[0].channel} {held[0].address}{others} asked to be left alone for"
            f" {_age(held[0].held_until - status.now)}: {held[0].reason}. What waits goes on by"
            " itself then; until then tell them some other way."
        )
    for problem in sorted({each.problem for each in status.alive if each.problem}):
        yield f"A notifier goes on without a part of its work, since {problem}. Mend that."
    if status.is_unattended():
        yield "No notifier is alive, and something is due: start one, or see why it died."
    elif any(row.is_stuck for row in status.deliveries):
        yield "Nobody takes what is due: is the channel configured, and what does the log say?"
    states = {row.state for row in status.deliveries}
    if "blocked" in states:
        yield (
            "Mend what blocks messages, as the errors say (a template, or a notifier older than the"
            " database); they then go on by themselves, and at once by: notifier retry --failed"
        )
    if "unrouted" in states:
        yield (
            "No route matches some notifications, so nobody is told: add a route (where nobody is"
            ' to be told, one with "recipients": []), then: make config, notifier retry --failed'
        )
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
    lines = [
        _detection(status),
        *_notifiers(status),
        *_deliveries(status),
        *_recipients(status),
        *_holds(status),
        *(advice(status) or ["Nothing needs a person."]),
    ]
    return "\n".join(escaped(line) for line in lines)


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
        + (f"; {each.problem}" if each.is_alive and each.problem else "")
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
