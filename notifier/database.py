"""The database as the notifier sees it: a few functions and views, never tables.

Where it lies is libpq's business: DATABASE_URL if set, else PGHOST, PGSERVICE and the rest.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import functools
import math
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import AsyncRowFactory, class_row, dict_row, scalar_row, tuple_row
from psycopg.types.json import Jsonb, set_json_loads

from notifier import documents
from notifier.config import ROOT
from notifier.values import register_loaders

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

# What the statements below and the functions that they call depend on, whatever the server, the
# database, the role, PGOPTIONS or a pooler's other clients say. They hold for one transaction, so
# that a pooler hands nothing of them on. Besides: client_encoding is set as the connection is
# made, which poolers know, and results are binary, which knows neither DateStyle nor
# IntervalStyle. Compiling the views takes ten times as long as running them, hence no jit.
SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "jit": "off",
}

Row = TypeVar("Row")


def is_temporary(error: psycopg.Error) -> bool:
    """Whether the same statement may succeed later, on a connection that is made again. Anything
    else the database would refuse again.

    The SQLSTATE decides, and not psycopg's class: its OperationalError is also the server's word
    for what will never succeed, such as 55000, object_not_in_prerequisite_state.
    """
    sqlstate = error.sqlstate
    if sqlstate is None:  # the connection's end, or an error of libpq's or psycopg's
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if sqlstate == "0A000":  # "cached plan must not change result type", in whatever language
        return error.diag.source_function == "RevalidateCachedQuery"
    return sqlstate[:2] in _TEMPORARY_CLASSES or sqlstate in _TEMPORARY


# connection exception, transaction rollback, insufficient resources, operator intervention
# (cancelled, shutting down, starting up), system error
_TEMPORARY_CLASSES = frozenset({"08", "40", "53", "57", "58"})
_TEMPORARY = frozenset(
    {
        "25006",  # read_only_sql_transaction: a standby; the primary is elsewhere, or here soon
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "55006",  # object_in_use
        "55P03",  # lock_not_available
    }
)


def reason(error: psycopg.Error) -> str:
    """What the server says, with its SQLSTATE; where it says nothing, what psycopg says."""
    if error.sqlstate is None:
        return str(error)
    return f"{error.diag.message_primary} (SQLSTATE {error.sqlstate})"


class DatabaseUnusable(Exception):
    """The database cannot be used as it is; the message says why and what to do."""


class DatabaseNewer(DatabaseUnusable):
    """A newer version migrated the database."""


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
    idempotency_key: str
    """What the channel is given as such, in each attempt the same."""


@dataclass(frozen=True)
class Result:
    """What became of a leased recipient.

    state          sent, pending (again after delay_seconds), failed or in_doubt
    is_attempt     False gives the attempt back: it was not the recipient's
    is_blocked     no message can be made of it until a person mends something
    reference      id of the message or key of the ticket, when sent
    hold_seconds   nothing goes to this chat or queue for so long
    is_channel_refused  the channel refuses us as a whole
    is_channel_accepted  it accepted our credentials, whatever it said of this message
    moved_to       the fields of the target that are new, when it has moved
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
    is_long: bool
    """A chat or queue that is held for longer than stuck_after_seconds from now on."""


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
    problem: str | None = None
    """What the database refuses to it."""


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


@functools.cache  # what this process began as, whatever is checked out meanwhile
def known_migrations() -> Sequence[str]:
    """The names of this version's migrations, in order."""
    return tuple(sorted(path.stem for path in MIGRATIONS.glob("*.sql")))


def version_problem(applied: Sequence[str], known: Sequence[str]) -> str | None:
    """Why a database with these migrations does not suit a program that knows those."""
    if newer := sorted(set(applied) - set(known)):
        return f"a newer version migrated it ({newer[-1]}): update this program"
    if missing := sorted(set(known) - set(applied)):
        return f"it lacks the migration {missing[0]}: make migrate"
    return None


class Database:
    """One connection. Every method is one transaction, and may raise psycopg.Error."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        patience_seconds: float,
        *,
        read_only: bool = False,
    ) -> None:
        self.connection = connection
        self.is_session = False
        """Whether the server's session is this connection's alone; else a pooler may hand each
        transaction to another one, which hears nothing after LISTEN."""
        self._patience_seconds = patience_seconds
        self._begin = "begin isolation level read committed" + (" read only" if read_only else "")
        self._settings = _settings(patience_seconds)

    @classmethod
    async def connect(
        cls,
        patience_seconds: float,
        connect_seconds: float = CONNECT_SECONDS,
        *,
        read_only: bool = False,
    ) -> Database:
        """Connects. Statements may take so long, or as long as the user's, the database's or the
        connection string's statement_timeout says. `read_only`: they can change nothing.

        Raises DatabaseUnusable where DATABASE_URL cannot be read, psycopg.Error where the database
        cannot be reached.
        """
        try:
            async with asyncio.timeout(connect_seconds):
                connection = await psycopg.AsyncConnection.connect(
                    conninfo(),
                    autocommit=True,
                    application_name="notifier",
                    client_encoding="UTF8",
                    # A statement that a pooler's or an earlier version's server prepared may be
                    # unknown to the next, or return other columns.
                    prepare_threshold=None,
                    **LIVELINESS,
                )
        except TimeoutError:
            raise psycopg.OperationalError(f"no connection in {connect_seconds:g} s") from None
        set_json_loads(documents.loads, connection)
        register_loaders(connection.adapters)
        database = cls(connection, patience_seconds, read_only=read_only)
        try:
            await database._take_session()
        except BaseException:
            await connection.close()
            raise
        return database

    async def close(self) -> None:
        await self.connection.close()

    async def _take_session(self) -> None:
        """A pooler gives its clients numbers of its own for the server's process."""
        process_id = await self._scalar("select pg_backend_pid()")
        self.is_session = process_id == self.connection.info.backend_pid
        if self.is_session:  # an idle notifier listens
            await self._scalar("select set_config('idle_session_timeout', '0', false)")

    async def check_version(self) -> None:
        """Raises DatabaseUnusable where the database was never migrated, or by another version;
        DatabaseNewer where that version is newer."""
        name = self.connection.info.dbname
        try:
            applied = await self._rows(scalar_row, "select scooters_ops.applied_migrations()")
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
            raise DatabaseUnusable(f"database {name!r} was never migrated: make migrate") from None
        if problem := version_problem(applied, known_migrations()):
            is_newer = set(applied) - set(known_migrations())
            kind = DatabaseNewer if is_newer else DatabaseUnusable
            raise kind(f"database {name!r}: {problem}")

    async def listen(self, wake: Callable[[], None]) -> None:
        """From now on `wake` is called when there are new notifications or a new config, provided
        that the connection is used, or watched by `arrivals`. It takes a session."""
        self.connection.add_notify_handler(lambda _: wake())
        await self._run(f"listen {NOTIFY_CHANNEL}")

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
        found = await self._rows(
            tuple_row, "select config_id, config from scooters_ops.config_in_force"
        )
        return (found[0][0], found[0][1]) if found else None

    async def apply_config(self, document: Any) -> int:
        """Puts a config into force and returns its number."""
        return int(await self._scalar("select scooters_ops.apply_config(%s)", Jsonb(document)))

    async def plan(self, batch_size: int) -> tuple[int, int | None]:
        """Decides the recipients of up to so many new notifications; returns of how many, and the
        number of the config in force."""
        ((planned, config_id),) = await self._rows(
            tuple_row,
            "select scooters_ops.plan_deliveries(%s),"
            " (select config_id from scooters_ops.config_in_force)",
            batch_size,
        )
        return planned, config_id

    async def lease(
        self, worker: str, slots: Mapping[str, int], lease_seconds: float
    ) -> list[Delivery]:
        """Leases what is due: of each channel at most so many."""
        return await self._all(
            Delivery,
            "scooters_ops.lease_deliveries(%s, %s, %s)",
            worker,
            Jsonb(slots),
            lease_seconds,
        )

    async def next_delivery(self, channels: Sequence[str]) -> NextDelivery:
        """When the next recipient of these channels can be leased that cannot be now."""
        (found,) = await self._all(NextDelivery, "scooters_ops.next_delivery(%s)", list(channels))
        return found

    async def resume(self, channels: Sequence[str]) -> None:
        """Lets these channels be probed at once if they are paused."""
        await self._scalar("select scooters_ops.probe_channels(%s)", list(channels))

    async def record(self, worker: str, results: Sequence[Result]) -> int:
        """Records results; returns how many counted, for the others' leases were lost. What a
        server said, and the database's encoding cannot hold, is recorded with escapes."""
        query = "select scooters_ops.record_deliveries(%s, %s)"
        try:
            return int(await self._scalar(query, worker, _storable(results, "utf-8")))
        except psycopg.errors.UntranslatableCharacter:
            return int(await self._scalar(query, worker, _storable(results, self._codec())))

    def _codec(self) -> str:
        """Python's name for the database's encoding; where it has none, that of ASCII."""
        encoding = self.connection.info.parameter_status("server_encoding") or ""
        try:
            return codecs.lookup(re.sub("^WIN", "cp", encoding)).name
        except LookupError:
            return "ascii"

    async def renew(
        self, worker: str, recipient_ids: Sequence[int], lease_seconds: float
    ) -> set[int]:
        """Renews the leases of these recipients; returns those that the worker still holds."""
        return set(
            await self._rows(
                scalar_row,
                "select scooters_ops.renew_leases(%s, %s, %s)",
                worker,
                list(recipient_ids),
                lease_seconds,
            )
        )

    async def release(self, worker: str, kept_ids: Sequence[int]) -> int:
        """Gives back what the worker has leased but for these recipients; returns how many."""
        return int(
            await self._scalar(
                "select scooters_ops.release_deliveries(%s, %s)", worker, list(kept_ids)
            )
        )

    async def adopt(self, worker: str, kept_ids: Sequence[int]) -> int:
        """Takes over what earlier connections of the worker's notifier have leased: these
        recipients; the others are given back. Returns how many were given back."""
        return await self.release(worker, kept_ids)

    async def report(self, notifier: str, config_id: int) -> None:
        """Says that the notifier is alive."""
        await self._scalar(
            "select scooters_ops.report_notifier(%s, %s, %s)",
            notifier,
            config_id,
            known_migrations()[-1],
        )

    async def report_problem(self, notifier: str, problem: str | None) -> None:
        """Says what the database refuses to the notifier; None: nothing any more."""
        await self._scalar("select scooters_ops.report_problem(%s, %s)", notifier, problem)

    async def retire(self, notifier: str) -> None:
        """Says that the notifier ends."""
        await self._scalar("select scooters_ops.retire_notifier(%s)", notifier)

    async def retry(self, token: str | None, channel: str | None) -> int:
        """Revives failed, in-doubt and blocked recipients, of one notification or of all, of one
        channel or of all, and routes anew what no route matched; returns how many."""
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
        found = await self._all(
            Notification, "scooters_ops.notifications where idempotency_token = %s", token
        )
        return found[0] if found else None

    async def delivery_status(self) -> list[DeliveryStatus]:
        """What is not sent yet, by channel and state."""
        return await self._all(
            DeliveryStatus, "scooters_ops.delivery_status order by channel, state"
        )

    async def recipient_status(self) -> list[RecipientStatus]:
        """What is not sent yet, by channel, address and state."""
        return await self._all(
            RecipientStatus, "scooters_ops.recipient_status order by channel, address, state"
        )

    async def holds(self) -> list[Hold]:
        """Paused channels and recipients that are held back."""
        return await self._all(Hold, "scooters_ops.delivery_holds order by channel, address")

    async def notifier_status(self) -> list[NotifierStatus]:
        """The notifiers that run, and those that died."""
        return await self._all(NotifierStatus, "scooters_ops.notifier_status order by name")

    async def config_status(self) -> ConfigStatus:
        """The config in force, and the time."""
        (status,) = await self._rows(
            class_row(ConfigStatus),
            "select now() as as_of, in_force.config_id, in_force.config,"
            " in_force.notifier_missing_after"
            " from (select) as always left join scooters_ops.config_in_force as in_force on true",
        )
        return status

    async def detection_status(self) -> DetectionStatus:
        """Whether passes run."""
        (status,) = await self._all(DetectionStatus, "scooters_ops.detection_status")
        return status

    async def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of any statement."""
        return await self._rows(dict_row, query, *parameters)

    async def _scalar(self, query: str, *parameters: Any) -> Any:
        (value,) = await self._rows(scalar_row, query, *parameters)
        return value

    async def _all(self, kind: type[Row], source: str, *parameters: Any) -> list[Row]:
        """The rows of a view or a function as dataclasses. A newer version's may have more columns:
        those are named that this version knows."""
        columns = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        query = f"select {columns} from {source}"  # noqa: S608  # names of ours
        return await self._rows(class_row(kind), query, *parameters)

    async def _rows(
        self, row_factory: AsyncRowFactory[Row], query: str, *parameters: Any
    ) -> list[Row]:
        return await (await self._run(query, *parameters, row_factory=row_factory)).fetchall()

    async def _run(
        self, query: str, *parameters: Any, row_factory: AsyncRowFactory[Any] = tuple_row
    ) -> psycopg.AsyncCursor[Any]:
        """The one way to the server: a transaction of one statement and SETTINGS, all sent at once.

        A statement that takes too long is cancelled by the server (QueryCanceled); where not even
        that is answered, the connection is shut, and the wait ends as with any lost connection.
        Cancelling the await would not do: psycopg then waits for the server's consent.
        """
        loop = asyncio.get_running_loop()
        hanging_up = loop.call_later(self._patience_seconds + GRACE_SECONDS, self._hang_up)
        try:
            return await self._transact(query, parameters, row_factory)
        except UnicodeEncodeError:
            await self._undo()
            raise psycopg.DataError(
                "a text holds a character that the database cannot store"
            ) from None
        except BaseException:
            await self._undo()
            raise
        finally:
            hanging_up.cancel()

    async def _transact(
        self, query: str, parameters: Sequence[Any], row_factory: AsyncRowFactory[Any]
    ) -> psycopg.AsyncCursor[Any]:
        cursor = self.connection.cursor(binary=True, row_factory=row_factory)
        refusal: psycopg.Error | None = None
        try:
            async with self.connection.pipeline():
                try:
                    await self.connection.execute(self._begin)
                    await self.connection.execute(self._settings)
                    await cursor.execute(query, parameters or None)
                    await self.connection.execute("commit")
                except psycopg.Error as error:
                    refusal = error
        except psycopg.Error as error:
            refusal = refusal or error  # the first one: what follows it was aborted
        if refusal is not None:
            raise refusal
        return cursor

    async def _undo(self) -> None:
        """Leaves no transaction open, also where the await was cancelled in its midst."""
        status = self.connection.info.transaction_status
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with contextlib.suppress(psycopg.Error):
                await self.connection.execute("rollback")

    def _hang_up(self) -> None:
        with (
            contextlib.suppress(OSError, psycopg.OperationalError),
            socket.socket(fileno=os.dup(self.connection.fileno())) as shared,
        ):
            shared.shutdown(socket.SHUT_RDWR)


def _storable(results: Sequence[Result], encoding: str) -> Jsonb:
    """Texts as this encoding holds them, and without what no jsonb holds."""

    def escaped(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return value.encode(encoding, "backslashreplace").decode(encoding).replace("\0", "\\x00")

    return Jsonb(
        [{key: escaped(value) for key, value in vars(result).items()} for result in results]
    )


def _settings(patience_seconds: float) -> str:
    """The statement that sets SETTINGS, and how long a statement may take where nothing else says
    so, until the transaction ends."""
    patience = f"{math.ceil(patience_seconds * 1000)}ms"
    calls = [f"pg_catalog.set_config('{name}', '{SETTINGS[name]}', true)" for name in SETTINGS]
    calls.append(
        "case when pg_catalog.current_setting('statement_timeout') operator(pg_catalog.=) '0'"
        f" then pg_catalog.set_config('statement_timeout', '{patience}', true) end"
    )
    return f"select {', '.join(calls)}"
