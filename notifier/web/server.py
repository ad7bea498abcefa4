"""Runs the HTTP server, alone or beside the notifier."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from logging import INFO, WARNING
from zoneinfo import ZoneInfo

import uvicorn

from notifier import config as configs
from notifier.config import Config, ConfigError
from notifier.database.statements import Database
from notifier.delivery.notifier import Notifier
from notifier.file_limit import raise_file_limit
from notifier.logs import event
from notifier.metrics import Metrics
from notifier.secrets import SecretMissing, Secrets
from notifier.web.address import Address, AddressUnusable
from notifier.web.app import make_app
from notifier.web.board.router import board_router
from notifier.web.client_connections import (
    ACCEPTED_AT_ONCE,
    MIN_FILES,
    ClientConnections,
    max_connections,
)
from notifier.web.pool import STATEMENT_SECONDS, Pool, read_pool

API_CONNECTIONS = 4
# How long requests may still be answered after the server was told to stop.
GRACE_SECONDS = 15
# How many connections the kernel keeps until they are accepted.
BACKLOG = 2048


class HttpServer(uvicorn.Server):
    """uvicorn's server, which stops on stop() and leaves signals to the command line."""

    def __init__(
        self, config: uvicorn.Config, listener: socket.socket, clients: ClientConnections
    ) -> None:
        super().__init__(config)
        self._listener = listener
        self._clients = clients

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(*self._listener.getsockname()[:2])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve_until_stopped(self) -> None:
        """Answers until stop(), then finishes the requests in progress."""
        event(INFO, "listening", address=self.address)
        watching = asyncio.create_task(self._clients.watch())
        try:
            await self.serve([self._listener])
        finally:
            watching.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # asyncio has one number for how many it accepts at once and how many the kernel keeps.
        self._listener.listen(BACKLOG)

    def stop(self) -> None:
        self._clients.shut_down()
        self.should_exit = True


@asynccontextmanager
async def open_server(
    address: Address, secrets: Secrets, metrics: Metrics
) -> AsyncIterator[HttpServer]:
    """The HTTP server by the config in force. Its port is open; it answers from
    serve_until_stopped() on.

    Raises AddressUnusable, ConfigError, DatabaseUnusable, psycopg.Error.
    """
    file_limit = raise_file_limit()
    if file_limit < MIN_FILES:
        raise AddressUnusable(
            f"cannot listen on {address}: this process may open only {file_limit} files,"
            f" and needs {MIN_FILES} (ulimit -n)"
        )
    clients = ClientConnections(max_connections(file_limit), metrics)
    with address.listen() as listener:
        config = await _config_in_force()
        async with (
            Pool("api", "scooters_ops_writer", API_CONNECTIONS, metrics) as api_pool,
            # Each its own: a slow question must not make the process look unready.
            read_pool("readiness", "scooters_ops_notifier", metrics) as readiness_pool,
            read_pool("metrics", "scooters_ops_notifier", metrics) as metrics_pool,
            read_pool("board", "scooters_ops_analyst", metrics) as board_pool,
        ):
            app = make_app(
                api_pool,
                readiness_pool,
                metrics_pool,
                board_router(
                    board_pool.rows, config.notifier.locale, ZoneInfo(config.notifier.time_zone)
                ),
                metrics,
                token=_token(config, secrets),
                token_env=config.http.token_env,
            )
            settings = uvicorn.Config(
                app,
                http=clients.make,  # type: ignore[arg-type]  # uvicorn calls it as it would a class
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # strangers can cause uvicorn's warnings
                backlog=ACCEPTED_AT_ONCE,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
            yield HttpServer(settings, listener, clients)


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
    """A missing token is no reason to refuse metrics and the board."""
    try:
        return secrets.get(config.http.token_env)
    except SecretMissing as error:
        event(WARNING, "http_token_missing", reason=error)
        return None


async def run_together(server: HttpServer, notifier: Notifier | None, stop: asyncio.Event) -> None:
    """Runs both until `stop` is set, then both finish what they have begun. Where one fails, the
    other finishes as well, and the failure is raised."""
    answering = asyncio.create_task(server.serve_until_stopped())
    parts = {answering}
    if notifier is not None:
        working = asyncio.create_task(notifier.run())
        parts.add(working)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({*parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.stop()
    if notifier is not None and not working.done():
        notifier.stop()
    for result in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
