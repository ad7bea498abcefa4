"""The database as the HTTP face sees it: a few connections, made when needed and again when lost.

DatabaseAway       no answer from the database at present: ask again later
└── RightLacking   the database's user lacks one of the roles
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from logging import ERROR, INFO, WARNING
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from notifier.database import (
    Database,
    DatabaseNewer,
    DatabaseUnusable,
    is_temporary,
)
from notifier.logs import SeldomEvent, event
from notifier.metrics import Metrics

# Callers wait, and have timeouts of their own.
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
# Strangers may read: so many of them wait, and no more, or their connections would be all that the
# server may have.
MOST_WAITING_READERS = 50


class DatabaseAway(Exception):
    """The database gave no answer. The message is for callers: it names neither host nor user."""


class RightLacking(DatabaseAway):
    """The database's user may not do this; the message names the role that it lacks."""


class Connections:
    """Up to `size` connections for statements that need `role`, each a transaction of its own.

    most_waiting  how many callers may wait for one of them; infinite: as many as there are
    """

    def __init__(
        self,
        role: str,
        size: int,
        metrics: Metrics,
        *,
        read_only: bool = False,
        most_waiting: float = math.inf,
    ) -> None:
        self._role = role
        self._free: asyncio.LifoQueue[Database | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)
        self._size = size
        self._metrics = metrics
        self._read_only = read_only
        self._waiting = 0
        self._most_waiting = most_waiting
        self._is_away = False
        self._busy = SeldomEvent(WARNING, "http_busy")

    async def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of one statement, which is a transaction.

        Raises DatabaseAway where there is no answer: the statement was not begun, or the database
        undoes it, unless the connection broke between its commit and the answer; RightLacking;
        psycopg.Error where the database refuses the statement itself.
        """
        try:
            async with self._connection() as database:
                rows = await database.rows(query, parameters)
        except psycopg.errors.InsufficientPrivilege:
            raise RightLacking(f"the database's user lacks the role {self._role}") from None
        except (DatabaseUnusable, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and not is_temporary(error):
                raise
            self._metrics.database_errors.labels("http").inc()
            if not self._is_away:  # told of once, however many ask
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

    async def aclose(self) -> None:
        """Closes what is idle; nobody may be asking any more."""
        while not self._free.empty():
            database = self._free.get_nowait()
            if database is not None:
                await database.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Database]:
        database = await self._take()
        try:
            if database is not None and not _is_fresh(database):
                await database.close()
                database = None
            if database is None:
                database = await self._connect()
            yield database
        finally:
            if database is not None and not _is_usable(database):
                await database.close()
                database = None
            self._free.put_nowait(database)

    async def _take(self) -> Database | None:
        """A connection that is free; None: one that has to be made."""
        self._waiting += 1
        try:
            if self._free.empty() and self._waiting > self._most_waiting:
                raise TimeoutError
            async with asyncio.timeout(STATEMENT_SECONDS):
                return await self._free.get()
        except TimeoutError:
            self._busy.happened()  # as often as callers like
            raise DatabaseAway("too many wait for the database") from None
        finally:
            self._waiting -= 1

    async def _connect(self) -> Database:
        """During an upgrade this process goes on beside a newer version's database."""
        database = await Database.connect(
            STATEMENT_SECONDS, CONNECT_SECONDS, read_only=self._read_only
        )
        try:
            with contextlib.suppress(DatabaseNewer):
                await database.check_version()
        except BaseException:
            await database.close()
            raise
        return database


class Reads(Connections):
    """Connections that cannot change anything."""

    def __init__(self, role: str, size: int, metrics: Metrics) -> None:
        super().__init__(role, size, metrics, read_only=True, most_waiting=MOST_WAITING_READERS)


def _is_usable(database: Database) -> bool:
    """Whether the last statement left the connection as it was before."""
    connection = database.connection
    return not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE


def _is_fresh(database: Database) -> bool:
    """Whether nothing has come on an idle connection: what comes unasked is its end, most often.
    So a statement is hardly ever begun on a connection that was lost meanwhile."""
    if not _is_usable(database):
        return False
    arrivals = select.poll()
    arrivals.register(database.connection.fileno(), select.POLLIN)
    return not arrivals.poll(0)
