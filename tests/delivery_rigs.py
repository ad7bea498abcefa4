"""A database with stand-ins for both channels, and a notifier that has only its role's rights."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    asynccontextmanager,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from notifier.cli import main
from notifier.delivery.notifier import Notifier
from notifier.resources import ROOT
from notifier.secrets import Secrets
from sandbox.standins import Chat, StandIn, TelegramStandIn, TrackerStandIn
from tests.conftest import PATIENCE_SECONDS, TestDatabase, config

SECRETS = {
    "TELEGRAM_BOT_TOKEN": "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0",
    "TRACKER_TOKEN": "y0_AgAAAABVN3SYAADLWwAAAADPb5V3XQ",
    "TRACKER_ORG_ID": "8017263",
}
GROUP, OTHER_GROUP, LOST_GROUP = -1001, -1002, -1003
KICKED = "Forbidden: bot was kicked from the group chat"
LOGIN = "duty_notifier"
"""A user with the role scooters_ops_notifier only."""

TELEGRAM = {"type": "telegram", "chat_id": GROUP}
TICKET = {"type": "st", "queue": "DUTY"}

QUICK_RETRY = {
    "first_seconds": 0.02,
    "factor": 2,
    "max_seconds": 0.1,
    "give_up_after_attempts": 12,
}
SLOW_RETRY = {**QUICK_RETRY, "first_seconds": 60, "max_seconds": 900}


@dataclass(frozen=True)
class House:
    """What a notifier works with: the database and the channels' servers."""

    database: TestDatabase
    telegram: TelegramStandIn
    tracker: TrackerStandIn

    @property
    def conninfo(self) -> str:
        """The database as the notifier's user."""
        return make_conninfo(self.database.conninfo, user=LOGIN)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a notifier's process: the database and the secrets."""
        return self.database.environment | SECRETS | {"PGUSER": LOGIN}

    def document(self, *recipients: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """A config that uses the stand-ins; `recipients` get every notification."""
        to_stand_ins: dict[str, Any] = {
            "channels__telegram__base_url": self.telegram.base_url,
            "channels__st__base_url": self.tracker.base_url,
            "channels__telegram__limits": None,
        }
        if recipients:
            to_stand_ins["routes"] = [{"match": {}, "recipients": list(recipients)}]
        return config(**{**to_stand_ins, **changes})

    def configure(self, *recipients: Mapping[str, Any], **changes: Any) -> int:
        """Puts such a config in force; returns its number. Beside a notifier in the same event loop
        call it in a thread: it may have to wait for that notifier's transaction."""
        document = json.dumps(self.document(*recipients, **changes))
        return int(self.database.value("select scooters_ops.apply_config(%s)", document))

    def skip(self, mission_id: str = "m1", **attributes: Any) -> str:
        """Skips a job in a new mission; returns the notification's token."""
        self.database.create_mission(mission_id, 1, attributes={"city": "Moscow", **attributes})
        self.database.value("select scooters_ops.skip_job(%s, 'p1', 'j1')", mission_id)
        return f"{mission_id}_p1_j1_job_skipped"

    def skip_many(self, count: int) -> list[str]:
        """Skips a job in each of this many new missions, all in one transaction."""
        with self.database.connection.transaction():
            return [self.skip(f"m{number}") for number in range(1, count + 1)]

    def deliveries(self, channel: str | None = None) -> list[dict[str, Any]]:
        """The rows of notification_deliveries, ordered by notification and channel."""
        return self.database.rows(
            "select * from scooters_ops.notification_deliveries"
            " where channel = coalesce(%s, channel) order by notification_id, channel desc",
            channel,
        )

    def delivery(self, channel: str) -> dict[str, Any]:
        """The only row of the channel."""
        (row,) = self.deliveries(channel)
        return row

    def states(self, channel: str | None = None) -> list[str]:
        """The states of the deliveries."""
        return [row["state"] for row in self.deliveries(channel)]

    def is_sent(self, channel: str | None = None) -> bool:
        """Whether there are deliveries and all of them are sent."""
        return set(self.states(channel)) == {"sent"}

    def make_due(self) -> None:
        """Makes everything that waits for its next attempt due now."""
        self.database.connection.execute(
            "update scooters_ops.notification_recipients set next_attempt_at = now()"
            " where state = 'pending'"
        )

    def lease(self, worker: str, channel: str, seconds: float) -> list[dict[str, Any]]:
        """Leases everything due for a channel, as a notifier of that name would."""
        return self.database.rows(
            "select * from scooters_ops.lease_deliveries(%s, %s, %s, %s)",
            worker,
            json.dumps({channel: 100}),
            seconds,
            json.dumps({channel: 100}),
        )

    def is_blocked(self, function: str) -> bool:
        """Whether a notifier's statement with that function waits for a lock."""
        return bool(
            self.database.value(
                "select count(*) from pg_stat_activity"
                " where datname = current_database() and application_name = 'notifier'"
                " and wait_event_type = 'Lock' and query like %s",
                f"%{function}%",
            )
        )

    def cut_connections(self) -> int:
        """Ends every connection of a notifier; returns how many."""
        return len(
            self.database.values(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'notifier'"
            )
        )

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Inside, notifiers lose their connections and cannot reconnect."""
        self._allow_connections(False)
        self.cut_connections()
        try:
            yield
        finally:
            self._allow_connections(True)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Inside, notifiers lose their connections, and new ones are read-only."""
        self.database.connection.execute(
            f"alter role {LOGIN} set default_transaction_read_only = on"
        )
        self.cut_connections()
        try:
            yield
        finally:
            self.database.connection.execute(f"alter role {LOGIN} reset all")
            self.cut_connections()

    @contextmanager
    def full_pool(self) -> Iterator[None]:
        """Inside, notifiers lose their connections, and the server has none left for them."""
        self.database.connection.execute(f"alter role {LOGIN} connection limit 0")
        self.cut_connections()
        try:
            yield
        finally:
            self.database.connection.execute(f"alter role {LOGIN} connection limit -1")

    def _allow_connections(self, allowed: bool) -> None:
        with psycopg.connect(self.database.cluster.conninfo("postgres"), autocommit=True) as admin:
            admin.execute(f"alter database {self.database.name} allow_connections {allowed}")

    def run_once(self, templates_dir: Path = ROOT / "templates") -> None:
        """notifier run --once, in this process."""
        asyncio.run(Notifier(templates_dir, Secrets()).run(once=True))

    def cli(self, *arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        """`notifier ARGUMENTS` in this process: ten times cheaper than `process`. `changes` to its
        environment; None: without that variable."""
        return run_in_process(arguments, self._environment_with(changes))

    def process(self, *arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        """The same as a process of its own."""
        return self.process_in(ROOT, *arguments, **changes)

    def process_in(
        self, checkout: Path, *arguments: str, **changes: Any
    ) -> subprocess.CompletedProcess[str]:
        """The same, run from another checkout."""
        return subprocess.run(
            command(*arguments),
            env=self._environment_with(changes),
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def _environment_with(self, changes: dict[str, Any]) -> dict[str, str]:
        return {
            key: value for key, value in (self.environment | changes).items() if value is not None
        }


class Gate:
    """A SOCKS proxy to one server. Until it is opened, clients are not connected and cannot send
    their requests."""

    def __init__(self, stand_in: StandIn) -> None:
        self._target = urlsplit(stand_in.base_url)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"socks5://127.0.0.1:{self._server.getsockname()[1]}"
        self.knocked = threading.Event()
        self.opened = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.set()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, suppress(OSError):
            caller.recv(100)
            caller.sendall(b"\x05\x00")  # no authentication
            caller.recv(500)
            self.knocked.set()
            self.opened.wait()
            with socket.create_connection((self._target.hostname, self._target.port)) as server:
                caller.sendall(b"\x05\x00\x00\x01" + bytes(6))  # connected
                back = threading.Thread(target=_pump, args=(server, caller), daemon=True)
                back.start()
                _pump(caller, server)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def command(*arguments: str) -> list[str]:
    """The command line of `notifier ARGUMENTS`."""
    return [sys.executable, "-m", "notifier", *arguments]


def run_in_process(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What a process of `notifier ARGUMENTS` would print and return. Not for the commands that
    become psql: they would replace the tests."""
    assert not {"psql", "schedule", "unschedule"} & {*arguments}
    output, errors = StringIO(), StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with (
        patch.dict(os.environ, environment, clear=True),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse
            code = end.code if isinstance(end.code, int) else 1
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


@contextmanager
def make_house(database: TestDatabase) -> Iterator[House]:
    """Both stand-ins, the notifier's user, and a config that uses them."""
    database.connection.execute(
        f"do $$ begin create role {LOGIN} login in role scooters_ops_notifier;"
        " exception when duplicate_object then null; end $$"
    )
    chats = (Chat(GROUP), Chat(OTHER_GROUP), Chat(LOST_GROUP, forbids=KICKED.partition(": ")[2]))
    with (
        TelegramStandIn(SECRETS["TELEGRAM_BOT_TOKEN"], chats) as telegram,
        TrackerStandIn(
            SECRETS["TRACKER_TOKEN"], organization=("X-Org-ID", SECRETS["TRACKER_ORG_ID"])
        ) as tracker,
    ):
        house = House(database, telegram, tracker)
        house.configure()
        yield house


@dataclass
class Daemon:
    """A notifier that runs as a task."""

    notifier: Notifier
    task: asyncio.Task[None]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition. Fails if the notifier ends first, or if it takes too long."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                if self.task.done():
                    await self.task
                    raise AssertionError("the notifier has ended")
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Stops it and waits until it has ended."""
        self.notifier.stop()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task


@asynccontextmanager
async def running(*, once: bool = False) -> AsyncIterator[Daemon]:
    """A daemon, stopped at the end unless it has ended. With `once` it ends by itself."""
    notifier = Notifier(ROOT / "templates", Secrets())
    daemon = Daemon(notifier, asyncio.create_task(notifier.run(once=once)))
    try:
        yield daemon
        if not daemon.task.done():
            await daemon.stop()
    finally:
        daemon.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await daemon.task


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """The fields of each logged event of that name."""
    return [
        record.__dict__["fields"]
        for record in caplog.records
        if record.name == "notifier" and record.msg == name
    ]


def at_info(caplog: pytest.LogCaptureFixture) -> None:
    """Lets caplog see info events."""
    caplog.set_level(logging.INFO, logger="notifier")


@pytest.fixture
def house(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[House]:
    """A house for notifiers in this process: they find it by the environment, and log to caplog."""
    at_info(caplog)
    with make_house(database) as made:
        monkeypatch.setenv("DATABASE_URL", made.conninfo)
        for name, secret in SECRETS.items():
            monkeypatch.setenv(name, secret)
        yield made
