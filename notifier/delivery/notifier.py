"""The notifier's life: it starts, connects, works, reconnects if the connection is lost, stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from logging import ERROR, INFO
from pathlib import Path
from typing import Any

import psycopg

from notifier import config as configs
from notifier.config import ConfigError
from notifier.database.errors import DatabaseNewer, DatabaseUnusable, is_temporary
from notifier.database.statements import Database
from notifier.delivery.buttons import Buttons
from notifier.delivery.leases import Leases
from notifier.delivery.outage import RECONNECT, Outage
from notifier.delivery.press_loop import PressLoop
from notifier.delivery.refusals import Refusals
from notifier.delivery.sending import Sender
from notifier.delivery.setup import ActiveSetup
from notifier.delivery.signals import Signals
from notifier.delivery.work_loop import WorkLoop
from notifier.logs import event
from notifier.metrics import Metrics
from notifier.secrets import Secrets
from notifier.systemd import Service

# None of the work loop's statements takes long; one that does counts as a lost database.
STATEMENT_SECONDS = 30.0


class NotRecorded(Exception):
    """The database stayed away, and results of sends could not be recorded."""


@dataclass
class Notifier:
    """Delivers until it is told to stop. On a router it only reads the presses of buttons.

    Its name is unique: the host, the process and a random part.
    """

    templates_dir: Path
    secrets: Secrets
    name: str = field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{random.randbytes(4).hex()}"  # noqa: S311
    )
    service: Service = field(default_factory=lambda: Service({}))
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.leases = Leases(self.name)
        self.outage = Outage()
        self._signals = Signals()
        self._sender = Sender(self.leases, self._signals, self.metrics)
        self._refusals = Refusals(RECONNECT, _now)
        self._buttons = Buttons(self.name, _connected)
        self._work_loop: WorkLoop | PressLoop | None = None  # None: not started
        self._ending: DatabaseUnusable | None = None  # why it must not go on

    def stop(self) -> None:
        """Finish what is in flight, record it, and return from run()."""
        event(INFO, "stopping", in_flight=self.leases.in_flight())
        self.service.stopping(self.leases.in_flight())
        self._signals.stop(_now())
        self._buttons.stop()

    def problem(self) -> str | None:
        """What the database refuses to do for this notifier; None: nothing."""
        return self._work_loop.problem() if self._work_loop is not None else None

    async def run(self, *, once: bool = False) -> None:
        """Delivers until stop(), or, with `once`, until nothing is due.

        Raises what prevents the start: ConfigError, SecretMissing, TemplateError, DatabaseUnusable,
        psycopg.Error. After the start it waits for a lost database. After stop(), and with `once`,
        it waits only if there are results to record, and no longer than a lease, because they are
        useless after that: it then raises NotRecorded. Raises DatabaseUnusable if it must not go
        on, after recording what it could.
        """
        try:
            while True:
                try:
                    async with _connected() as database:
                        await self._check(database)
                        if self._work_loop is None:
                            self._work_loop = await self._start(database, once=once)
                            if not once:
                                self._poll_buttons(self._work_loop.setup)
                        await self._work_loop.run(database, once=once)
                        break
                except psycopg.Error as error:
                    if self._work_loop is None or (once and not self.leases.has_unfinished()):
                        raise
                    if self._ending is not None and not is_temporary(error):
                        results = len(self.leases.results)
                        event(ERROR, "not_recorded", results=results, reason=error)
                        break
                    self.metrics.database_errors.labels("notifier").inc()
                    if self._refusals.is_noted(error):
                        continue
                    self.outage.failed(error, _now())
                    self._report_outage()
                if self._is_over(self._work_loop, once=once):
                    break
                await self._back_off()
            if self._ending is not None:
                raise self._ending
        finally:
            await self._close()

    async def _check(self, database: Database) -> None:
        """Raises DatabaseUnusable. If a newer version has migrated the database since the start,
        the notifier first records what is in flight, which the newer version still accepts."""
        try:
            await database.check_version()
        except DatabaseUnusable as error:
            if self._work_loop is None:
                raise
            if self._ending is None:
                event(ERROR, "cannot_go_on", reason=error)
            if not isinstance(error, DatabaseNewer):
                raise
            if self._ending is None:
                self._ending = error
                self.stop()

    async def _start(self, database: Database, *, once: bool) -> WorkLoop | PressLoop:
        in_force = await database.config()
        if is_router := await database.is_router():
            _check_router(database.connection.info.dbname, in_force, once=once)
        if in_force is None:
            raise ConfigError(["no config is in force: make config"])
        setup = ActiveSetup(*in_force, self.templates_dir, self.secrets)
        if not is_router:
            await database.probe(list(setup.current.channels))
        event(
            INFO,
            "started",
            notifier=self.name,
            config_id=setup.current.config_id,
            channels=",".join(setup.current.channels),
        )
        self.service.ready()
        if is_router:
            return PressLoop(setup, self._signals, self.outage, self.metrics, self.service)
        return WorkLoop(
            self.name,
            setup,
            self.leases,
            self._sender,
            self._signals,
            self._refusals,
            self.outage,
            self.metrics,
            self.service,
        )

    def _poll_buttons(self, setup: ActiveSetup) -> None:
        self._buttons.start(lambda: setup.current)

    def _report_outage(self) -> None:
        self.service.without_database(self.leases.in_flight(), self.outage.refusal)

    async def _back_off(self) -> None:
        """Waits until the next attempt to connect, or stop(). A send that ends meanwhile does not
        shorten the wait."""
        stopping_since = self._signals.stopping_since
        until = _now() + self.outage.delay_seconds()
        while (left := until - _now()) > 0 and self._signals.stopping_since == stopping_since:
            self._signals.clear()
            await self._signals.wait(min(left, self.service.rest_seconds))
            self._report_outage()

    def _is_over(self, work_loop: WorkLoop | PressLoop, *, once: bool) -> bool:
        """Without a database: whether the notifier is to end and has nothing left to record.

        Raises NotRecorded if it has, but the leases have ended meanwhile.
        """
        if not once and not self._signals.is_stopping:
            return False
        if not self.leases.has_unfinished():
            return True
        # Since the later of the two: the database has a lease's time to come back, even if the
        # notifier was told to stop long before.
        waiting_since = max(self.outage.since or 0, self._signals.stopping_since or 0)
        if _now() - waiting_since > work_loop.setup.current.lease_seconds:
            raise NotRecorded(f"{len(self.leases.results)} results could not be recorded")
        return False

    async def _close(self) -> None:
        await self._sender.cut()
        await self._buttons.close()
        if self._work_loop is not None:
            await self._work_loop.setup.close()


def _check_router(name: str, in_force: tuple[int, Any] | None, *, once: bool) -> None:
    """Raises DatabaseUnusable unless there are presses to read; ConfigError."""
    problem = (
        f"database {name!r} is a router: notifiers belong to its shards, so run one on each. One on"
        " the router only reads the presses of buttons"
    )
    if once:
        raise DatabaseUnusable(f"{problem}, without --once")
    settings = in_force and configs.parse_stored(in_force[1]).channel_settings()
    if not any(getattr(each, "buttons", False) is True for each in (settings or {}).values()):
        raise DatabaseUnusable(f"{problem}, and channels.telegram.buttons is not true")


@contextlib.asynccontextmanager
async def _connected() -> AsyncIterator[Database]:
    database = await Database.connect(STATEMENT_SECONDS)
    try:
        yield database
    finally:
        await database.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
