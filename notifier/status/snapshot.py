"""A snapshot of the whole system, read from the status views. Ages are by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from notifier.database.statements import Database
from notifier.database.values import Hold, Silence

WAITING = ("pending", "retrying", "blocked", "sending")


@dataclass(frozen=True)
class DeliveryStatus:
    """A row of the view delivery_status: what is not sent yet, by channel and state."""

    channel: str | None
    state: str
    recipients: int
    oldest_created_at: datetime
    next_attempt_at: datetime | None
    sample_error: str | None
    is_stuck: bool
    """It has been due for long, and no notifier leases it."""
    is_lower_bound: bool
    """The view stopped counting: there may be more."""


@dataclass(frozen=True)
class RecipientStatus:
    """A row of the view recipient_status: what is not sent yet, by channel, address and state."""

    channel: str
    address: str
    state: str
    recipients: int
    oldest_created_at: datetime
    next_attempt_at: datetime | None
    sample_error: str | None
    is_lower_bound: bool


@dataclass(frozen=True)
class NotifierStatus:
    """A row of the view notifier_status: a notifier that runs or has died."""

    name: str
    started_at: datetime
    seen_at: datetime
    config_id: int
    version: str
    is_alive: bool
    leases: int
    problem: str | None = None
    """What the database refuses to do for it."""


@dataclass(frozen=True)
class ButtonStatus:
    """A row of the view button_status: a channel whose messages have buttons."""

    channel: str
    polled_by: str | None
    """The notifier that asks for their presses, or did so last."""
    polled_until: datetime | None
    is_polled: bool
    problem: str | None
    """Why it does not get the presses."""


@dataclass(frozen=True)
class DetectionStatus:
    """The row of the view detection_status: whether passes run."""

    is_enabled: bool
    last_pass_at: datetime | None
    last_pass_elapsed: timedelta | None
    last_pass_missions: int | None
    last_pass_inserted: int | None
    is_stalled: bool
    lock_holder: str | None = None
    """The session that holds the detection lock."""
    lock_waiters: str | None = None
    last_pass_recorded: int | None = None
    """How many recorded intervals it changed."""
    last_pass_judged: int | None = None
    last_pass_resolved: int | None = None
    missions_waiting: int = 0
    """How many missions wait for the next pass to record them; a lower bound if there are many."""
    unrecorded_missions: Sequence[str] = ()
    """Of a few random missions under way, those that passes missed."""


@dataclass(frozen=True)
class InputStatus:
    """The row of the view input_status: whether events still come."""

    newest_event_at: datetime | None = None
    silent_after: timedelta | None = None
    """None: however long no event comes, it is no problem."""
    is_silent: bool = False
    """No event has come for so long, although missions are active."""
    silent_shards: Sequence[str] = ()
    """Of a router: those that are silent while others get events."""


@dataclass(frozen=True)
class ConfigStatus:
    """The config in force, and the database's time. Without a config the rest is None."""

    as_of: datetime
    config_id: int | None
    config: Any
    notifier_missing_after: timedelta | None


@dataclass(frozen=True)
class JobsStatus:
    """The exit code of sql/cron/status.sql, and what it wrote to standard error."""

    exit_code: int
    errors: str


@dataclass(frozen=True)
class ShardStatus:
    """A row of the view shard_status, which only routers have."""

    shard: int
    name: str
    is_up: bool
    reason: str | None
    """Why it does not answer."""
    missing_migration: str | None
    """The first migration of the router's version that it lacks."""
    newer_migration: str | None
    """Its last migration that the router's version does not know."""
    is_config_ours: bool | None
    """Whether its config is its part of the router's; None: no answer, or no config."""
    lacked_columns: Sequence[str] = ()
    """Columns that it lacked when the router was last brought up to date."""


@dataclass(frozen=True)
class Status:
    """Everything that the status views say."""

    in_force: ConfigStatus
    detection: DetectionStatus
    deliveries: Sequence[DeliveryStatus]
    recipients: Sequence[RecipientStatus]
    holds: Sequence[Hold]
    notifiers: Sequence[NotifierStatus]
    jobs: JobsStatus | None = None
    """None: pg_cron's jobs were not checked."""
    shards: Sequence[ShardStatus] = ()
    """Those of a router: everything else is what they say together. Empty: no router."""
    buttons: Sequence[ButtonStatus] = ()
    """The channels whose messages have buttons."""
    input: InputStatus = InputStatus()
    silences: Sequence[Silence] = ()
    """The active ones, those that end first first."""

    @classmethod
    async def read(cls, database: Database) -> Self:
        (in_force,) = await database.objects(
            ConfigStatus,
            "(select now() as as_of) as clock"
            " left join scooters_ops.config_in_force as in_force on true",
        )
        (detection,) = await database.objects(DetectionStatus, "scooters_ops.detection_status")
        (input_,) = await database.objects(InputStatus, "scooters_ops.input_status")
        return cls(
            in_force,
            detection,
            await database.objects(
                DeliveryStatus, "scooters_ops.delivery_status order by channel, state"
            ),
            await database.objects(
                RecipientStatus, "scooters_ops.recipient_status order by channel, address, state"
            ),
            await database.holds(),
            await database.objects(NotifierStatus, "scooters_ops.notifier_status order by name"),
            shards=await database.shards(ShardStatus),
            buttons=await database.objects(
                ButtonStatus, "scooters_ops.button_status order by channel"
            ),
            input=input_,
            silences=await database.silences(),
        )

    @property
    def now(self) -> datetime:
        return self.in_force.as_of

    @property
    def paused(self) -> list[Hold]:
        """The channels that are paused."""
        return [hold for hold in self.holds if hold.address is None]

    @property
    def held(self) -> list[Hold]:
        """The chats and queues that are held, the longest hold first."""
        held = [hold for hold in self.holds if hold.address is not None]
        return sorted(held, key=lambda hold: hold.held_until, reverse=True)

    @property
    def held_for_long(self) -> list[Hold]:
        """Those that are held for so long that somebody should know, the longest hold first."""
        return [hold for hold in self.held if hold.is_long]

    @property
    def alive(self) -> list[NotifierStatus]:
        return [notifier for notifier in self.notifiers if notifier.is_alive]

    def due_since(self) -> datetime | None:
        """When the oldest of what is due for a notifier became due; None: nothing is due."""
        times = [
            time
            for row in self.deliveries
            if row.state in WAITING or row.state == "unplanned"
            if (time := row.next_attempt_at or row.oldest_created_at) <= self.now
        ]
        return min(times, default=None)

    def is_unattended(self) -> bool:
        """Whether no notifier is alive, and something has been due for longer than a live notifier
        may be silent."""
        due_since = self.due_since()
        missing_after = self.in_force.notifier_missing_after or timedelta(0)
        return not self.alive and due_since is not None and self.now - due_since > missing_after
