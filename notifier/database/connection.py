"""One connection to the database: settings, timeouts, and one transaction per statement."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from typing import Any, Self, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import AsyncRowFactory, class_row, dict_row, scalar_row, tuple_row
from psycopg.types.json import set_json_dumps, set_json_loads

from notifier.database import jsonb
from notifier.database.conninfo import conninfo
from notifier.database.loaders import register_loaders

# A server that disappears without closing the connection is noticed within half a minute.
KEEPALIVE: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25000,
}
# For all hosts in the connection string together; connect_timeout is for each of them.
CONNECT_SECONDS = 60
# How long to wait for the server's answer after the statement timeout.
GRACE_SECONDS = 10.0
NOTIFY_CHANNEL = "scooters_ops"

# Settings that our statements and the functions they call depend on. They override whatever the
# server, the database, the role, PGOPTIONS or another client of a pooler has set, and last for one
# transaction, so that a pooler passes none of them on. client_encoding is set on connecting, which
# poolers support. Results are binary, so DateStyle and IntervalStyle do not affect them. Without
# jit: compiling the views takes ten times as long as running them.
SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "jit": "off",
}

SNAPSHOT = "begin isolation level repeatable read read only"
JOIN_IN_SHARDS = "select pg_catalog.set_config('enable_partitionwise_join', 'on', true)"

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class Connection:
    """A connection. Each method that runs a statement is one transaction, and may raise
    psycopg.Error."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        statement_seconds: float,
        *,
        read_only: bool = False,
    ) -> None:
        self.connection = connection
        self.is_session = False
        """Whether the server session belongs to this connection alone. Otherwise a pooler may run
        each transaction in another session, and LISTEN has no effect."""
        self._statement_seconds = statement_seconds
        self._begin = "begin isolation level read committed" + (" read only" if read_only else "")
        self._settings = _settings(statement_seconds)

    @classmethod
    async def connect(
        cls,
        statement_seconds: float,
        connect_seconds: float = CONNECT_SECONDS,
        *,
        read_only: bool = False,
    ) -> Self:
        """Connects.

        statement_seconds  how long a statement may take; the user's, the database's or the
                           connection string's statement_timeout has priority
        read_only          statements cannot change anything

        Raises DatabaseUnusable if DATABASE_URL cannot be parsed, psycopg.Error if the database
        cannot be reached.
        """
        try:
            async with asyncio.timeout(connect_seconds):
                connection = await psycopg.AsyncConnection.connect(
                    conninfo(),
                    autocommit=True,
                    application_name="notifier",
                    client_encoding="UTF8",
                    # A pooler may hand the next transaction to a server that does not know the
                    # prepared statement; after an upgrade it may return other columns.
                    prepare_threshold=None,
                    **KEEPALIVE,
                )
        except TimeoutError:
            raise psycopg.OperationalError(f"no connection in {connect_seconds:g} s") from None
        set_json_loads(jsonb.loads, connection)
        # As characters, and not as escapes: a server whose encoding lacks one then names it.
        set_json_dumps(partial(json.dumps, ensure_ascii=False), connection)
        register_loaders(connection.adapters)
        made = cls(connection, statement_seconds, read_only=read_only)
        try:
            await made._take_session()
        except BaseException:
            await connection.close()
            raise
        return made

    async def close(self) -> None:
        await self.connection.close()

    async def _take_session(self) -> None:
        """Finds out whether there is a pooler: it gives its clients process IDs of its own."""
        process_id = await self._scalar("select pg_backend_pid()")
        self.is_session = process_id == self.connection.info.backend_pid
        if self.is_session:  # an idle notifier must stay connected to hear NOTIFY
            await self._scalar("select set_config('idle_session_timeout', '0', false)")

    async def listen(self, wake: Callable[[], None]) -> None:
        """From now on calls `wake` when there are new notifications or a new config. The NOTIFY
        arrives while a statement runs, or while `arrivals` watches the connection. Works only if
        `is_session`."""
        self.connection.add_notify_handler(lambda _: wake())
        await self._run(f"listen {NOTIFY_CHANNEL}")

    @contextmanager
    def arrivals(self, wake: Callable[[], None]) -> Iterator[None]:
        """Watches the idle connection: calls `wake` when anything arrives on it, be it a NOTIFY or
        the end of the connection."""
        loop = asyncio.get_running_loop()
        descriptor = self.connection.fileno()
        loop.add_reader(descriptor, wake)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)

    async def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of any statement."""
        return await self._rows(dict_row, query, *parameters)

    async def snapshot(
        self, queries: Sequence[str], parameters: Mapping[str, Any]
    ) -> list[tuple[list[str], list[dict[str, Any]]]]:
        """The columns and the rows of each query, all as of one time: one read-only transaction,
        whose queries share their parameters.

        A router lets each shard join its own rows.
        """
        answers = []
        try:
            await self._bounded(self.connection.execute(SNAPSHOT))
            await self._bounded(self.connection.execute(self._settings))
            await self._bounded(self.connection.execute(JOIN_IN_SHARDS))
            for query in queries:
                cursor = self.connection.cursor(binary=True, row_factory=dict_row)
                await self._bounded(cursor.execute(query, parameters))
                columns = [column.name for column in cursor.description or ()]
                answers.append((columns, await cursor.fetchall()))
            await self._bounded(self.connection.execute("commit"))
        except BaseException:
            await self._roll_back()
            raise
        return answers

    async def objects(self, kind: type[Row], source: str, *parameters: Any) -> list[Row]:
        """The rows of a view or a function as dataclass objects. Names the columns that this
        version knows, because a newer version's view may have more."""
        columns = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        query = f"select {columns} from {source}"  # noqa: S608  # our own names
        return await self._rows(class_row(kind), query, *parameters)

    async def _scalar(self, query: str, *parameters: Any) -> Any:
        (value,) = await self._rows(scalar_row, query, *parameters)
        return value

    async def _rows(
        self, row_factory: AsyncRowFactory[Row], query: str, *parameters: Any
    ) -> list[Row]:
        return await (await self._run(query, *parameters, row_factory=row_factory)).fetchall()

    async def _run(
        self, query: str, *parameters: Any, row_factory: AsyncRowFactory[Any] = tuple_row
    ) -> psycopg.AsyncCursor[Any]:
        """Every statement goes through here: a transaction of SETTINGS and the statement, sent in
        one round trip.

        The server cancels a statement that takes too long (QueryCanceled). If it does not even
        answer that, the socket is shut down, and the wait ends as with any lost connection.
        Cancelling the await would not help: psycopg then waits until the server agrees.
        """
        try:
            return await self._bounded(self._transact(query, parameters, row_factory))
        except UnicodeEncodeError:
            await self._roll_back()
            raise psycopg.DataError(
                "a text holds a character that the database cannot store"
            ) from None
        except BaseException:
            await self._roll_back()
            raise

    async def _bounded(self, answer: Awaitable[Answer]) -> Answer:
        """The answer, or the end of the connection if it takes much too long."""
        loop = asyncio.get_running_loop()
        hanging_up = loop.call_later(self._statement_seconds + GRACE_SECONDS, self._hang_up)
        try:
            return await answer
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
            refusal = refusal or error  # the first error; later ones only say "aborted"
        if refusal is not None:
            raise refusal
        return cursor

    async def _roll_back(self) -> None:
        """Leaves no transaction open, not even if the await was cancelled inside it."""
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


def _settings(statement_seconds: float) -> str:
    """The statement that sets SETTINGS for the transaction, and a statement_timeout if nothing else
    has set one."""
    timeout = f"{math.ceil(statement_seconds * 1000)}ms"
    calls = [f"pg_catalog.set_config('{name}', '{SETTINGS[name]}', true)" for name in SETTINGS]
    calls.append(
        "case when pg_catalog.current_setting('statement_timeout') operator(pg_catalog.=) '0'"
        f" then pg_catalog.set_config('statement_timeout', '{timeout}', true) end"
    )
    return f"select {', '.join(calls)}"
