"""The open connections of the HTTP server: how many there may be, and how long each may idle.

Whoever reaches the port can open connections and say nothing, or say it slowly. That must not cost
the notifier the files that it delivers with. So there is a bound on connections, far below the
process's limit of open files, and a connection that waits for its caller is closed after a few
seconds. A connection whose request is being answered is left alone: the database's timeouts bound
that. Where the bound is reached, a new connection pushes out the oldest one, whatever that waits
for, unless it is answering a complete request that had the token: so the mission service is
answered even while strangers flood the port, with silence or with requests.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, TypeAlias

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from notifier.metrics import Metrics

MOST_CONNECTIONS = 500
# How many the event loop accepts before it does anything else. Until they have been counted, some
# four times as many may be open beyond the bound.
ACCEPTED_AT_ONCE = 16
FEWEST_FILES = 256
"""With a lower limit of open files there is no room for connections beside the notifier's work."""

AUTHORIZED = "is_authorized"
"""What of a request's state says that it had the token."""

Wait: TypeAlias = Literal["request", "body", "reading"]
"""What a connection expects of its caller: a request, the rest of one, to read the answer."""

# Five seconds is also how long uvicorn keeps an idle connection open after an answer.
LONGEST_SECONDS: dict[Wait, float] = {"request": 5, "body": 10, "reading": 10}
# When the process is about to end, what has not been asked completely is not answered.
LONGEST_SECONDS_AT_THE_END: dict[Wait, float] = {"request": 0, "body": 0, "reading": 1}
CHECK_SECONDS = 0.5


def most_connections(file_limit: int) -> int:
    """How many connections a process may have that may open so many files."""
    return min(MOST_CONNECTIONS, file_limit // 4)


class Connection(H11Protocol):
    """A connection that is counted among the others."""

    def __init__(self, open_connections: OpenConnections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._open_connections = open_connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_connections.discard(self)
        super().connection_lost(exc)

    def waits_for(self) -> tuple[Wait, RequestResponseCycle | None] | None:
        """What is up to the caller, and in which request; None: the request is being answered."""
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
        """Closes it at once, whatever has not been sent."""
        self.transport.abort()


class OpenConnections:
    """All connections of a server, the oldest first."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._waits: dict[Connection, tuple[object, float]] = {}
        self._is_ending = False

    def make(self, **arguments: Any) -> Connection:
        """A new connection, as uvicorn asks for it."""
        return Connection(self, **arguments)

    def add(self, connection: Connection) -> None:
        """Where there are too many already, the oldest has to go; the new one where all others
        are answering requests that had the token."""
        self._waits[connection] = (None, 0)
        if len(self._waits) > self._most:
            for each in self._waits:
                if not each.is_protected() and not each.transport.is_closing():
                    self._cut(each, "crowded")
                    break

    def discard(self, connection: Connection) -> None:
        self._waits.pop(connection, None)

    def end(self) -> None:
        """From now on only what is being answered may stay."""
        self._is_ending = True

    async def watch(self) -> None:
        """Closes connections that wait for their callers too long, until it is cancelled."""
        while True:
            self._cut_slow(asyncio.get_running_loop().time())
            await asyncio.sleep(CHECK_SECONDS)

    def _cut_slow(self, now: float) -> None:
        longest = LONGEST_SECONDS_AT_THE_END if self._is_ending else LONGEST_SECONDS
        for connection, (known, since) in [*self._waits.items()]:
            waits = connection.waits_for()
            if waits != known:
                since = now
                self._waits[connection] = (waits, since)
            if waits is not None and now - since >= longest[waits[0]]:
                self._cut(connection, "slow")

    def _cut(self, connection: Connection, reason: str) -> None:
        self._metrics.http_connections_cut.labels(reason).inc()
        connection.cut()
