"""The private PostgreSQL that all trials share, and a database for each of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Self

import psycopg

from sandbox.databases import create_migrated
from sandbox.postgres import Postgres
from sandbox.standins import Chat, TelegramStandIn, TrackerStandIn
from sandbox.torture.scene import BOT, LOGIN, ORGANIZATION, Scene
from sandbox.torture.settings import BOSS, LEADS, Settings
from sandbox.torture.trial import Trial

TEMPLATE = "template_torture"


class Harness:
    """`with Harness() as harness:` has a private PostgreSQL with a migrated template database."""

    def __init__(self) -> None:
        self.server = Postgres(cron_database=None)
        self._numbers = count(1)

    def __enter__(self) -> Self:
        self.server.__enter__()
        try:
            create_migrated(self.server, TEMPLATE)
            self._execute(f"create role {LOGIN} login in role scooters_ops_notifier")
        except BaseException:
            self.server.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.server.__exit__(*exc_info)

    @contextmanager
    def trial(self, seed: str, settings: Settings) -> Iterator[Trial]:
        """A trial with a database and stand-ins of its own."""
        name = f"torture_{next(self._numbers)}"
        self._execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        chats = [Chat(settings.chat_id(number)) for number in range(settings.chats)]
        queues = [settings.queue(number) for number in range(settings.chats)]
        chats.append(Chat(BOSS))
        queues.append(LEADS)
        with (
            tempfile.TemporaryDirectory(prefix="torture-") as folder,
            TelegramStandIn(f"{BOT}:nobody", chats) as telegram,
            TrackerStandIn(
                "nobody", organization=("X-Org-ID", ORGANIZATION), queues=queues
            ) as tracker,
        ):
            scene = Scene(self.server, name, telegram, tracker, settings)
            trial = Trial(scene, Path(folder))
            try:
                scene.set_up(seed)
                yield trial
            finally:
                trial.kill_all()
                scene.close()
        self._execute(f"drop database {name} with (force)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(statement)
