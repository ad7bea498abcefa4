"""The database as the notifier sees it: a few functions and views, never tables.

Where it lies is libpq's business: DATABASE_URL if set, else PGHOST, PGSERVICE and the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb

from notifier.config import ROOT

MIGRATIONS = ROOT / "migrations"
# A server that is gone without a word is noticed within half a minute.
LIVELINESS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25000,
}
# Over all hosts of the connection string, each of which has its connect_timeout.
CONNECT_SECONDS = 60
# How much longer than its statement a server is waited for.
GRACE_SECONDS = 10.0
NOTIFY_CHANNEL = "scooters_ops"

# What tells a lost connection from a refused statement. A server that only reads is a standby: the
# primary is elsewhere, or will be here soon.
CONNECTION_LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)


class DatabaseUnusable(Exception):
    """The database cannot be used as it is; the message says why and what to do."""


def _moment(text: str) -> datetime | None:
    """A moment of a notification; None: one that Python cannot hold, such as after 9999."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _duration(seconds: float) -> timedelta | None:
    """A duration of a notification; None: one that Python cannot hold."""
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


@dataclass(frozen=True)
class Notification:
    """What was noticed."""

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
                facts[key] = _moment(value)
            elif key.endswith("_seconds") and isinstance(value, int | float):
                facts[key.removesuffix("_seconds")] = _duration(value)
        elapsed, limit = facts.get("elapsed"), facts.get("limit")
        if isinstance(elapsed, timedelta) and isinstance(limit, timedelta):
            facts["over"] = elapsed - limit
        return facts


@dataclass(frozen=True)
class Delivery(Notification):
    """One leased recipient of a notification."""

    recipient_id: int
    channel: str
    target: Mapping[str, Any]
    attempts: int
    """How often it was tried, this time included."""
    is_in_doubt: bool
    """An earlier lease ran out: the message may have been sent already."""
    waited: timedelta
    """How long before the lease the notification was inserted."""


@dataclass(frozen=True)
class Result:
    """What became of a leased recipient.

    state          sent, pending (again after delay_seconds), failed or in_doubt
    is_attempt     False gives the attempt back: it was not the recipient's
    reference      id of the message or key of the ticket, when sent
    hold_seconds   nothing goes to this chat or queue for so long
    is_channel_refused  the channel refuses us as a whole
    moved_to       the fields of the target that are new, when it has moved
    """

    recipient_id: int
    state: str
    is_attempt: bool = True
    delay_seconds: float = 0
    error: str | None = None
    reference: str | None = None
    hold_seconds: float = 0
    is_channel_refused: bool = False
    moved_to: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NextDelivery:
    """When it is worth asking for leases again."""

    wait_seconds: float | None
    """None: nothing is waiting."""
    is_limited: bool
    """Something is due, and only a limit makes it wait."""


@dataclass(frozen=True)
class DeliveryStatus:
    """A row of the view delivery_status."""

    channel: str | None
    state: str
    recipients: int
    oldest_created_at: datetime
    next_attempt_at: datetime | None
    sample_error: str | None
    is_stuck: bool
    """Due for long, and nobody takes it."""
    is_lower_bound: bool
    """There are more than were counted."""


@dataclass(frozen=True)
class RecipientStatus:
    """A row of the view recipient_status."""

    channel: str
    address: str
    state: str
    recipients: int
    oldest_created_at: datetime
    next_attempt_at: datetime | None
    sample_error: str | None
    is_lower_bound: bool


@dataclass(frozen=True)
class Hold:
    """A row of the view delivery_holds: a recipient that is held back; without address a channel
    that is paused."""

    channel: str
    address: str | None
    held_until: datetime
    reason: str | None
    failures: int


@dataclass(frozen=True)
class NotifierStatus:
    """A row of the view notifier_status."""

    name: str
    started_at: datetime
    seen_at: datetime
    config_id: int
    version: str
    is_alive: bool
    leases: int


@dataclass(frozen=True)
class DetectionStatus:
    """The row of the view detection_status."""

    is_enabled: bool
    last_pass_at: datetime | None
    last_pass_elapsed: timedelta | None
    last_pass_missions: int | None
    last_pass_inserted: int | None
    is_stalled: bool
    lock_holder: str | None = None
    """The session that holds the detection lock."""
    lock_waiters: str | None = None


@dataclass(frozen=True)
class ConfigStatus:
    """The config in force, as status needs it, and the database's clock; None: no config."""

    as_of: datetime
    config_id: int | None
    config: Any
    notifier_missing_after: timedelta | None


def conninfo() -> str:
    """libpq's connection string; empty: libpq's environment variables.

    Raises DatabaseUnusable where libpq could not read it, or would take part of its password for
    something else: libpq's own message would repeat that.
    """
    text = os.environ.get("DATABASE_URL", "")
    try:
        options = conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        options = None
    if (
        options is None
        or any("@" in str(options.get(name, "")) for name in ("host", "dbname"))
        or not re.fullmatch(r"[0-9,]*", str(options.get("port", "")))
    ):
        raise DatabaseUnusable(
            "DATABASE_URL is no connection string that libpq can read"
            " (in a URL the password's special characters must be percent-encoded)"
        )
    return text


def known_migrations() -> list[str]:
    """The names of this version's migrations, in order."""
    return sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


def version_problem(applied: Sequence[str], known: Sequence[str]) -> str | None:
    """Why a database with these migrations does not suit a program that knows those."""
    if newer := sorted(set(applied) - set(known)):
        return f"a newer version migrated it ({newer[-1]}): update this program"
    if missing := sorted(set(known) - set(applied)):
        return f"it lacks the migration {missing[0]}: make migrate"
    return None


class Database:
    """One connection. Every method may raise psycopg.Error; after CONNECTION_LOST the connection
    is of no use any more."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], patience_seconds: float) -> None:
        self.connection = connection
        self._patience_seconds = patience_seconds

    @classmethod
    async def connect(
        cls, patience_seconds: float, connect_seconds: float = CONNECT_SECONDS
    ) -> Database:
        """Connects and checks that the database's version suits. Statements may take so long, or
        as long as the user's, the database's or the connection string's statement_timeout says.

        Raises DatabaseUnusable where it was never migrated, or by another version; psycopg.Error
        where it cannot be reached.
        """
        try:
            async with asyncio.timeout(connect_seconds):
                connection = await psycopg.AsyncConnection.connect(
                    conninfo(),
                    autocommit=True,
                    application_name="notifier",
                    **LIVELINESS,
                )
        except TimeoutError:
            raise psycopg.OperationalError(f"no connection in {connect_seconds:g} s") from None
        try:
            database = cls(connection, patience_seconds)
            await database._limit_statements()
            await database._compile_nothing()
            await database._check_version()
        except BaseException:
            await connection.close()
            raise
        return database

    async def close(self) -> None:
        await self.connection.close()

    async def _limit_statements(self) -> None:
        await self._execute(
            self.connection.cursor(),
            "select set_config('statement_timeout', %s, false)"
            " where current_setting('statement_timeout') = '0'",
            (f"{math.ceil(self._patience_seconds * 1000)}ms",),
        )

    async def _compile_nothing(self) -> None:
        """Where much waits the planner takes the views for long queries, and compiling one takes
        ten times as long as running it."""
        await self._execute(self.connection.cursor(), "select set_config('jit', 'off', false)")

    async def _check_version(self) -> None:
        name = self.connection.info.dbname
        try:
            cursor = self.connection.cursor(row_factory=scalar_row)
            await self._execute(cursor, "select scooters_ops.applied_migrations()")
            applied = await cursor.fetchall()
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
            raise DatabaseUnusable(f"database {name!r} was never migrated: make migrate") from None
        if problem := version_problem(applied, known_migrations()):
            raise DatabaseUnusable(f"database {name!r}: {problem}")

    async def listen(self, wake: Callable[[], None]) -> None:
        """From now on `wake` is called when there are new notifications or a new config, provided
        that the connection is used, or watched by `arrivals`."""
        self.connection.add_notify_handler(lambda _: wake())
        await self._execute(self.connection.cursor(), f"listen {NOTIFY_CHANNEL}")

    @contextmanager
    def arrivals(self, wake: Callable[[], None]) -> Iterator[None]:
        """While the connection is idle: `wake` is called when anything arrives on it, be it a
        notification or its end."""
        loop = asyncio.get_running_loop()
        descriptor = self.connection.fileno()
        loop.add_reader(descriptor, wake)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)

    async def config(self) -> tuple[int, Any] | None:
        """Number and document of the config in force; None: none was ever applied."""
        cursor = self.connection.cursor()
        await self._execute(cursor, "select config_id, config from scooters_ops.config_in_force")
        return await cursor.fetchone()

    async def apply_config(self, document: Any) -> int:
        """Puts a config into force and returns its number."""
        return int(await self._scalar("select scooters_ops.apply_config(%s)", Jsonb(document)))

    async def plan(self, batch_size: int) -> tuple[int, int | None]:
        """Decides the recipients of up to so many new notifications; returns of how many, and the
        number of the config in force."""
        cursor = self.connection.cursor()
        await self._execute(
            cursor,
            "select scooters_ops.plan_deliveries(%s),"
            " (select config_id from scooters_ops.config_in_force)",
            (batch_size,),
        )
        planned, config_id = (await cursor.fetchall())[0]
        return planned, config_id

    async def lease(
        self, worker: str, slots: Mapping[str, int], lease_seconds: float
    ) -> list[Delivery]:
        """Leases what is due: of each channel at most so many."""
        cursor = self.connection.cursor(row_factory=class_row(Delivery))
        await self._execute(
            cursor,
            "select * from scooters_ops.lease_deliveries(%s, %s, %s)",
            (worker, Jsonb(slots), lease_seconds),
        )
        return await cursor.fetchall()

    async def next_delivery(self, channels: Sequence[str]) -> NextDelivery:
        """When the next recipient of these channels can be leased that cannot be now."""
        cursor = self.connection.cursor(row_factory=class_row(NextDelivery))
        await self._execute(
            cursor, "select * from scooters_ops.next_delivery(%s)", (list(channels),)
        )
        (found,) = await cursor.fetchall()
        return found

    async def resume(self, channels: Sequence[str]) -> None:
        """Lets these channels be probed at once if they are paused."""
        await self._execute(
            self.connection.cursor(),
            "select scooters_ops.resume_channels(%s)",
            (list(channels),),
        )

    async def record(self, worker: str, results: Sequence[Result]) -> int:
        """Records results; returns how many counted, for the others' leases were lost."""
        return int(
            await self._scalar(
                "select scooters_ops.record_deliveries(%s, %s)",
                worker,
                Jsonb([vars(result) for result in results]),
            )
        )

    async def renew(
        self, worker: str, recipient_ids: Sequence[int], lease_seconds: float
    ) -> set[int]:
        """Renews the leases of these recipients; returns those that the worker still holds."""
        cursor = self.connection.cursor(row_factory=scalar_row)
        await self._execute(
            cursor,
            "select scooters_ops.renew_leases(%s, %s, %s)",
            (worker, list(recipient_ids), lease_seconds),
        )
        return set(await cursor.fetchall())

    async def release(self, worker: str, kept_ids: Sequence[int]) -> int:
        """Gives back what the worker has leased but for these recipients; returns how many."""
        return int(
            await self._scalar(
                "select scooters_ops.release_deliveries(%s, %s)", worker, list(kept_ids)
            )
        )

    async def report(self, worker: str, config_id: int) -> None:
        """Says that the worker is alive."""
        await self._scalar(
            "select scooters_ops.report_notifier(%s, %s, %s)",
            worker,
            config_id,
            known_migrations()[-1],
        )

    async def retire(self, worker: str) -> None:
        """Says that the worker ends."""
        await self._scalar("select scooters_ops.retire_notifier(%s)", worker)

    async def retry(self, token: str | None, channel: str | None) -> int:
        """Revives failed and in-doubt recipients, of one notification or of all, of one channel or
        of all; returns how many."""
        return int(
            await self._scalar("select scooters_ops.retry_deliveries(%s, %s)", token, channel)
        )

    async def confirm(self, token: str, channel: str | None) -> int:
        """Records a notification's in-doubt recipients, of one channel or of all, as sent; returns
        how many."""
        return int(
            await self._scalar("select scooters_ops.confirm_deliveries(%s, %s)", token, channel)
        )

    async def notification(self, token: str) -> Notification | None:
        """A notification by its token."""
        cursor = self.connection.cursor(row_factory=class_row(Notification))
        await self._execute(
            cursor,
            "select idempotency_token, type, mission_id, point_id, job_id, details"
            " from scooters_ops.notifications where idempotency_token = %s",
            (token,),
        )
        return await cursor.fetchone()

    async def delivery_status(self) -> list[DeliveryStatus]:
        """What is not sent yet, by channel and state."""
        cursor = self.connection.cursor(row_factory=class_row(DeliveryStatus))
        await self._execute(
            cursor, "select * from scooters_ops.delivery_status order by channel, state"
        )
        return await cursor.fetchall()

    async def recipient_status(self) -> list[RecipientStatus]:
        """What is not sent yet, by channel, address and state."""
        cursor = self.connection.cursor(row_factory=class_row(RecipientStatus))
        await self._execute(
            cursor, "select * from scooters_ops.recipient_status order by channel, address, state"
        )
        return await cursor.fetchall()

    async def holds(self) -> list[Hold]:
        """Paused channels and recipients that are held back."""
        cursor = self.connection.cursor(row_factory=class_row(Hold))
        await self._execute(
            cursor, "select * from scooters_ops.delivery_holds order by channel, address"
        )
        return await cursor.fetchall()

    async def notifier_status(self) -> list[NotifierStatus]:
        """The notifiers that run, and those that died."""
        cursor = self.connection.cursor(row_factory=class_row(NotifierStatus))
        await self._execute(cursor, "select * from scooters_ops.notifier_status order by name")
        return await cursor.fetchall()

    async def config_status(self) -> ConfigStatus:
        """The config in force, and the time."""
        cursor = self.connection.cursor(row_factory=class_row(ConfigStatus))
        await self._execute(
            cursor,
            "select now() as as_of, in_force.config_id, in_force.config,"
            " in_force.notifier_missing_after"
            " from (select) as always left join scooters_ops.config_in_force as in_force on true",
        )
        (status,) = await cursor.fetchall()
        return status

    async def detection_status(self) -> DetectionStatus:
        """Whether passes run."""
        cursor = self.connection.cursor(row_factory=class_row(DetectionStatus))
        await self._execute(cursor, "select * from scooters_ops.detection_status")
        (status,) = await cursor.fetchall()
        return status

    async def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of any statement."""
        cursor = self.connection.cursor(row_factory=dict_row)
        await self._execute(cursor, query, parameters)
        return await cursor.fetchall()

    async def _scalar(self, query: str, *parameters: Any) -> Any:
        cursor = self.connection.cursor(row_factory=scalar_row)
        await self._execute(cursor, query, parameters)
        return await cursor.fetchone()

    async def _execute(
        self, cursor: psycopg.AsyncCursor[Any], query: str, parameters: Sequence[Any] = ()
    ) -> None:
        """The one way to the server. A statement that takes too long is cancelled by the server
        (QueryCanceled, which is an OperationalError); where not even that is answered, the
        connection is shut, and the wait ends as with any lost connection. Cancelling the await
        would not do: psycopg then waits for the server's consent."""
        loop = asyncio.get_running_loop()
        hanging_up = loop.call_later(self._patience_seconds + GRACE_SECONDS, self._hang_up)
        try:
            await cursor.execute(query, parameters or None)
        finally:
            hanging_up.cancel()

    def _hang_up(self) -> None:
        with (
            contextlib.suppress(OSError, psycopg.OperationalError),
            socket.socket(fileno=os.dup(self.connection.fileno())) as shared,
        ):
            shared.shutdown(socket.SHUT_RDWR)
