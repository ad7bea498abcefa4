"""How many connections clients may hold open, and how long each may stay idle.

Anybody who can reach the port can open connections and send nothing, or send it slowly. That must
not use up the files that the notifier needs for its deliveries. So the number of connections is
limited, far below the process's limit of open files, and a connection that waits for its client is
closed after a few seconds. A connection whose request is being answered is left alone: the
database's timeouts limit that. At the limit a new connection replaces the oldest one, unless that
one is answering a complete request that had the token: so the mission service is answered even
while strangers flood the port, with silence or with requests.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, TypeAlias

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from notifier.metrics import Metrics

MAX_CONNECTIONS = 500
# How many connections the event loop accepts in one step. Until they are counted, about four times
# as many may be open beyond the limit.
ACCEPTED_AT_ONCE = 16
MIN_FILES = 256
"""With a lower limit of open files the notifier's own work leaves no room for connections."""

AUTHORIZED = "is_authorized"
"""The key of a request's state that says that it had the token."""

Wait: TypeAlias = Literal["request", "body", "reading"]
"""What a connection waits for: a request, the rest of one, the client to read the answer."""

# After an answer, uvicorn keeps an idle connection open for five seconds as well.
MAX_WAIT_SECONDS: dict[Wait, float] = {"request": 5, "body": 10, "reading": 10}
# While the server shuts down, incomplete requests are not answered.
MAX_WAIT_SECONDS_AT_SHUTDOWN: dict[Wait, float] = {"request": 0, "body": 0, "reading": 1}
CHECK_SECONDS = 0.5


def max_connections(file_limit: int) -> int:
    """How many connections a process may hold that may open so many files."""
    return min(MAX_CONNECTIONS, file_limit // 4)


class ClientConnection(H11Protocol):
    """uvicorn's connection, counted."""

    def __init__(self, open_connections: ClientConnections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._open_connections = open_connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_connections.discard(self)
        super().connection_lost(exc)

    def waits_for(self) -> tuple[Wait, RequestResponseCycle | None] | None:
        """What it expects of its client, and in which request; None: the server is answering."""
        cycle = self.cycle
        if self.transport.is_closing() or self.transport.get_write_buffer_size() > 0:
            return "reading", cycle
        if cycle is None or cycle.response_complete:
            return "request", cycle
        return ("body", cycle) if cycle.more_body else None

    def is_protected(self) -> bool:
        """Whether it is answering a complete request that had the token."""
        is_answering = self.waits_for() is None and self.cycle is not None
        return is_answering and bool(self.cycle.scope["state"].get(AUTHORIZED))

    def cut(self) -> None:
        """Closes it at once and drops what has not been sent."""
        self.transport.abort()


class ClientConnections:
    """All open connections of a server, the oldest first."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self._waits: dict[ClientConnection, tuple[object, float]] = {}
        self._is_shutting_down = False

    def make(self, **arguments: Any) -> ClientConnection:
        """A new connection, as uvicorn asks for it."""
        return ClientConnection(self, **arguments)

    def add(self, connection: ClientConnection) -> None:
        """Beyond the limit, cuts the oldest connection that is not protected."""
        self._waits[connection] = (None, 0)
        if len(self._waits) > self._limit:
            for each in self._waits:
                if not each.is_protected() and not each.transport.is_closing():
                    self._cut(each, "crowded")
                    break

    def discard(self, connection: ClientConnection) -> None:
        self._waits.pop(connection, None)

    def shut_down(self) -> None:
        """From now on only a connection that is being answered may stay."""
        self._is_shutting_down = True

    async def watch(self) -> None:
        """Cuts connections that have waited for their clients too long, until it is cancelled."""
        while True:
            self._cut_slow(asyncio.get_running_loop().time())
            await asyncio.sleep(CHECK_SECONDS)

    def _cut_slow(self, now: float) -> None:
        limits = MAX_WAIT_SECONDS_AT_SHUTDOWN if self._is_shutting_down else MAX_WAIT_SECONDS
        for connection, (known, since) in [*self._waits.items()]:
            waits = connection.waits_for()
            if waits != known:
                since = now
                self._waits[connection] = (waits, since)
            if waits is not None and now - since >= limits[waits[0]]:
                self._cut(connection, "slow")

    def _cut(self, connection: ClientConnection, reason: str) -> None:
        self._metrics.http_connections_cut.labels(reason).inc()
        connection.cut()
