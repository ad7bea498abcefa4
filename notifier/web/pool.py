"""The HTTP server's database connections: small pools, each for one role.

DatabaseAway       the database, or the shard in question, does not answer now: ask again later
└── RightLacking   the database's user lacks a role
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from logging import ERROR, INFO, WARNING
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from notifier.database.errors import (
    DatabaseNewer,
    DatabaseUnusable,
    is_shard_away,
    is_temporary,
)
from notifier.database.statements import Database
from notifier.logs import ThrottledEvent, event
from notifier.metrics import Metrics

# Callers wait, and have timeouts of their own.
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
# Reading needs no token. Without a bound, waiting strangers would take all the HTTP connections.
MAX_WAITING_READERS = 50
CLOSE_SECONDS = 1.0

# psycopg_pool logs each request and each attempt to connect. Pool.rows() logs what matters, once.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


class DatabaseAway(Exception):
    """The database gave no answer. The message is for callers: it names neither host nor user."""


class RightLacking(DatabaseAway):
    """The database's user may not do this; the message names the role that it lacks."""


class Pool:
    """Up to `size` connections for statements that need `role`. An async context manager.

    name         the label of its metric
    max_waiting  how many callers may wait for a connection; 0: any number
    """

    def __init__(
        self,
        name: str,
        role: str,
        size: int,
        metrics: Metrics,
        *,
        read_only: bool = False,
        max_waiting: int = 0,
    ) -> None:
        self._role = role
        self._metrics = metrics
        self._read_only = read_only
        self._is_away = False
        self._busy = ThrottledEvent(WARNING, "http_busy")
        self._without_shard = ThrottledEvent(ERROR, "http_without_shard")
        self._waiting: set[asyncio.Timeout] = set()
        self._connecting = 0  # how many attempts to connect are in progress
        self._failure: Exception = DatabaseAway("the database cannot be reached")
        self._pool = AsyncConnectionPool(
            connection_class=self._connection_class(),
            min_size=0,
            max_size=size,
            open=False,
            check=self._check,
            max_waiting=max_waiting,
            # After a failure the next caller connects again, rather than a back-off in minutes.
            reconnect_timeout=0,
            # For a caller who came between the failed attempt and the pool's giving up.
            reconnect_failed=lambda _: self._fail_waiting(),
        )
        metrics.http_pool_waiting.labels(name).set_function(
            lambda: self._pool.get_stats()["requests_waiting"]
        )

    async def __aenter__(self) -> Self:
        await self._pool.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._pool.close(CLOSE_SECONDS)

    async def rows(
        self, query: str, parameters: Sequence[Any] = (), *, role: str | None = None
    ) -> list[dict[str, Any]]:
        """The rows of one statement, which is a transaction. `role` is the one that it needs; None:
        that of the pool.

        Raises DatabaseAway where there is no answer: the statement was not begun, or the database
        undoes it, unless the connection broke between its commit and the answer; RightLacking;
        psycopg.Error where the database refuses the statement itself.
        """
        try:
            async with self.connection() as database:
                rows = await database.rows(query, parameters)
        except psycopg.errors.InsufficientPrivilege:
            raise RightLacking(f"the database's user lacks the role {role or self._role}") from None
        except (DatabaseUnusable, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and not is_temporary(error):
                raise
            if isinstance(error, psycopg.Error) and is_shard_away(error):
                self._without_shard.happened(reason=error.diag.message_primary)
                raise DatabaseAway("the shard of these missions cannot be reached") from None
            self._metrics.database_errors.labels("http").inc()
            if not self._is_away:  # logged once, however many ask
                self._is_away = True
                event(ERROR, "http_without_database", reason=error)
            if isinstance(error, DatabaseUnusable):
                raise DatabaseAway("the database's version does not suit this program") from None
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise DatabaseAway("the database took too long") from None
            raise DatabaseAway("the database cannot be reached") from None
        if self._is_away:
            self._is_away = False
            event(INFO, "http_database_back")
        return rows

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Database]:
        """A connection of the pool. Raises what connecting raises; DatabaseAway where too many
        callers wait."""
        connection = await self._take()
        try:
            yield Database(connection, STATEMENT_SECONDS, read_only=self._read_only)
        finally:
            await self._pool.putconn(connection)

    async def _take(self) -> psycopg.AsyncConnection[Any]:
        """psycopg_pool connects in the background, and its callers would wait out their timeout
        while the database is away. Here a failure to connect ends the wait at once."""
        try:
            async with asyncio.timeout(None) as wait:
                self._waiting.add(wait)
                try:
                    return await self._pool.getconn(STATEMENT_SECONDS)
                finally:
                    self._waiting.discard(wait)
        except TimeoutError:
            raise self._failure.with_traceback(None) from None
        except PoolClosed:
            raise DatabaseAway("this process is stopping") from None
        except (PoolTimeout, TooManyRequests) as error:
            if isinstance(error, PoolTimeout) and self._connecting:
                # The database, or a pooler before it, has accepted the connection and then stalls.
                raise psycopg.OperationalError(
                    f"no connection in {STATEMENT_SECONDS:g} s"
                ) from None
            self._busy.happened()  # callers can cause this as often as they like
            raise DatabaseAway("too many wait for the database") from None

    def _fail_waiting(self) -> None:
        now = asyncio.get_running_loop().time()
        for wait in self._waiting:
            if wait.when() is None:
                wait.reschedule(now)

    def _connection_class(self) -> type[psycopg.AsyncConnection[Any]]:
        pool = self

        class PooledConnection(psycopg.AsyncConnection[Any]):
            """What the pool connects with."""

            @classmethod
            async def connect(  # type: ignore[override]
                cls, conninfo: str = "", **options: Any
            ) -> psycopg.AsyncConnection[Any]:
                return await pool._connect()

        return PooledConnection

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        """A newer version's database is accepted: during an upgrade this process goes on."""
        self._connecting += 1
        try:
            database = await Database.connect(
                STATEMENT_SECONDS, CONNECT_SECONDS, read_only=self._read_only
            )
            try:
                with contextlib.suppress(DatabaseNewer):
                    await database.check_version()
            except BaseException:
                await database.close()
                raise
        except (DatabaseUnusable, psycopg.Error) as error:
            self._failure = error
            self._fail_waiting()
            raise
        finally:
            self._connecting -= 1
        return database.connection

    async def _check(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Refuses a connection that was lost while it was idle, without a round trip: the only
        thing that arrives on an idle connection is its end. The other idle ones are replaced as
        well: what ended one session has most likely ended all."""
        arrivals = select.poll()
        arrivals.register(connection.fileno(), select.POLLIN)
        if arrivals.poll(0):
            await connection.close()
            await self._pool.drain()
            raise psycopg.OperationalError("the connection was lost while it was idle")


def read_pool(name: str, role: str, metrics: Metrics) -> Pool:
    """A pool of one connection that cannot change anything."""
    return Pool(name, role, 1, metrics, read_only=True, max_waiting=MAX_WAITING_READERS)
