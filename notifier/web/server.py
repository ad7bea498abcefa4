"""How the HTTP face is served, alone or beside the notifier."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from logging import INFO, WARNING
from zoneinfo import ZoneInfo

import uvicorn

from notifier import config as configs
from notifier import files
from notifier.config import Config, ConfigError
from notifier.database import Database
from notifier.delivery import Notifier
from notifier.logs import event
from notifier.metrics import Metrics
from notifier.secrets import SecretMissing, Secrets
from notifier.web.address import Address, AddressUnusable
from notifier.web.app import make_app
from notifier.web.board.router import board_router
from notifier.web.client_connections import (
    ACCEPTED_AT_ONCE,
    FEWEST_FILES,
    OpenConnections,
    most_connections,
)
from notifier.web.pool import STATEMENT_SECONDS, Connections, Reads

WRITE_CONNECTIONS = 4
READ_CONNECTIONS = 1
# What is being answered has so long when the process is to end.
GRACE_SECONDS = 15
# How many callers the kernel keeps waiting until they are accepted.
BACKLOG = 2048


class Face(uvicorn.Server):
    """The HTTP server, in whatever loop serve_until_stopped() is awaited."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        open_connections: OpenConnections,
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._open_connections = open_connections

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command line's."""
        yield

    async def serve_until_stopped(self) -> None:
        """Answers until stop(), then finishes what it has begun."""
        host, port = self._listener.getsockname()[:2]
        event(INFO, "listening", address=Address(host, port))
        watching = asyncio.create_task(self._open_connections.watch())
        try:
            await self.serve([self._listener])
        finally:
            watching.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # For asyncio one number is both how many it accepts at once and how many the kernel keeps.
        self._listener.listen(BACKLOG)

    def stop(self) -> None:
        self._open_connections.end()
        self.should_exit = True


@asynccontextmanager
async def open_face(
    address: Address,
    secrets: Secrets,
    metrics: Metrics,
) -> AsyncIterator[Face]:
    """The HTTP face by the config in force, listening already but not answering yet.

    Raises AddressUnusable, ConfigError, DatabaseUnusable, psycopg.Error.
    """
    file_limit = files.raise_limit()
    if file_limit < FEWEST_FILES:
        raise AddressUnusable(
            f"cannot listen on {address}: this process may open only {file_limit} files,"
            f" and needs {FEWEST_FILES} (ulimit -n)"
        )
    open_connections = OpenConnections(most_connections(file_limit), metrics)
    with address.listen() as listener:
        config = await _config_in_force()
        writes = Connections("scooters_ops_writer", WRITE_CONNECTIONS, metrics)
        # Each its own: a question that takes long must not make the process look unready.
        readiness_reads = Reads("scooters_ops_notifier", READ_CONNECTIONS, metrics)
        metrics_reads = Reads("scooters_ops_notifier", READ_CONNECTIONS, metrics)
        board_reads = Reads("scooters_ops_analyst", READ_CONNECTIONS, metrics)
        app = make_app(
            writes,
            readiness_reads,
            metrics_reads,
            board_router(
                board_reads.rows,
                config.notifier.locale,
                ZoneInfo(config.notifier.time_zone),
            ),
            metrics,
            token=_token(config, secrets),
            token_env=config.http.token_env,
        )
        settings = uvicorn.Config(
            app,
            http=open_connections.make,  # type: ignore[arg-type]  # called as a class would be
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # its warnings are of requests that strangers made malformed
            backlog=ACCEPTED_AT_ONCE,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        try:
            yield Face(settings, listener, open_connections)
        finally:
            for connections in (writes, readiness_reads, metrics_reads, board_reads):
                await connections.aclose()


async def _config_in_force() -> Config:
    database = await Database.connect(STATEMENT_SECONDS)
    try:
        await database.check_version()
        in_force = await database.config()
    finally:
        await database.close()
    if in_force is None:
        raise ConfigError(["no config is in force: make config"])
    return configs.parse_stored(in_force[1])


def _token(config: Config, secrets: Secrets) -> str | None:
    """Without it, metrics and the board are of use all the same."""
    try:
        return secrets.get(config.http.token_env)
    except SecretMissing as error:
        event(WARNING, "http_token_missing", reason=error)
        return None


async def run_together(face: Face, notifier: Notifier | None, stop: asyncio.Event) -> None:
    """Both until `stop` is set, then both finish what they have begun. Where one fails, the other
    finishes as well, and the failure is raised."""
    answering = asyncio.create_task(face.serve_until_stopped())
    parts = {answering}
    if notifier is not None:
        working = asyncio.create_task(notifier.run())
        parts.add(working)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({*parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    face.stop()
    if notifier is not None and not working.done():
        notifier.stop()
    for result in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
