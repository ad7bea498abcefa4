"""`make move`: a shard goes to another server while its writers go on through the router."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from notifier.database.errors import is_temporary
from notifier.resources import ROOT, SQL
from sandbox.postgres import Postgres
from sandbox.standins import Chat, TelegramStandIn
from tests.conftest import PATIENCE_SECONDS, TEMPLATE, config, until
from tests.delivery_rigs import GROUP, OTHER_GROUP, SECRETS, TELEGRAM

pytestmark = pytest.mark.slow(seconds=25)

CHAT = Chat(GROUP)
LATER = {"after_seconds": 86400, "recipients": [TELEGRAM | {"chat_id": OTHER_GROUP}]}
SHARDS = ("move_0", "move_1")
ROUTER = "move_router"


@dataclass
class Rig:
    """Two shards and their router in one server, and an empty database in another one."""

    here: Postgres
    there: Postgres
    telegram: TelegramStandIn
    folder: Path

    def file(self, name: str, *conninfos: str) -> Path:
        file = self.folder / name
        file.write_text("\n".join(conninfos) + "\n", "utf-8")
        return file

    @property
    def before(self) -> Path:
        return self.file("shards.txt", *(self.here.conninfo(name) for name in SHARDS))

    @property
    def after(self) -> Path:
        return self.file(
            "shards.new", self.here.conninfo(SHARDS[0]), self.there.conninfo(SHARDS[1])
        )

    def notifier(
        self, *command: str | Path, database: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command of the notifier, on the router or another database."""
        return subprocess.run(
            [sys.executable, "-m", "notifier", *command],
            cwd=ROOT,
            env=os.environ
            | SECRETS
            | {"DATABASE_URL": database or self.here.conninfo(ROUTER), "no_proxy": "*"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def deliver(self, conninfo: str) -> None:
        finished = self.notifier("run", "--once", database=conninfo)
        assert finished.returncode == 0, finished.stderr

    def move(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.notifier("move", self.before, self.after, *options)


def execute(conninfo: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def rig(cluster: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    admin = cluster.conninfo("postgres")
    with (
        Postgres() as there,
        TelegramStandIn(SECRETS["TELEGRAM_BOT_TOKEN"], [CHAT]) as telegram,
    ):
        made = Rig(cluster, there, telegram, tmp_path_factory.mktemp("move"))
        try:
            for name in SHARDS:
                execute(admin, f"create database {name} template {TEMPLATE}")
            execute(admin, f"create database {ROUTER}")
            execute(there.conninfo("postgres"), f"create database {SHARDS[1]}")
            finished = made.notifier("router", made.before)
            assert finished.returncode == 0, finished.stderr
            document = config(
                channels__telegram__base_url=telegram.base_url,
                channels__telegram__limits=None,
                routes=[{"match": {}, "recipients": [TELEGRAM], "escalate": [LATER]}],
            )
            execute(
                cluster.conninfo(ROUTER),
                "select scooters_ops.apply_config(%s)",
                json.dumps(document),
            )
            yield made
        finally:
            for name in (ROUTER, *SHARDS):
                execute(admin, f"drop database if exists {name} with (force)")


@dataclass
class Writer:
    """Skips a job of one new mission after the other. What is refused, it tries again meanwhile."""

    conninfo: str
    done: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    refused: dict[str, str | None] = field(default_factory=dict)
    """The SQLSTATE of the last refusal, by mission."""
    failures: list[BaseException] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                while not (self.stopping.is_set() and not self.waiting):
                    if not self.stopping.is_set():
                        self.waiting.append(f"w{len(self.done) + len(self.waiting)}w")
                    for mission_id in [*self.waiting]:
                        self.write(connection, mission_id)
                    time.sleep(0.02)  # leaves the machine to others
        except BaseException as error:
            self.failures.append(error)

    def write(self, connection: psycopg.Connection[Any], mission_id: str) -> None:
        try:
            with suppress(psycopg.errors.UniqueViolation):  # it was created, its job not skipped
                connection.execute(CREATE, (mission_id,))
            connection.execute("select scooters_ops.skip_job(%s, 'p1', 'j1')", (mission_id,))
        except psycopg.Error as error:
            if not is_temporary(error):
                raise
            self.refused[mission_id] = error.sqlstate
        else:
            self.waiting.remove(mission_id)
            self.done.append(mission_id)


CREATE = """
    select scooters_ops.create_mission(jsonb_build_object(
        'mission_id', %s::text, 'performer_id', 'c1',
        'points', '[{"point_id": "p1", "eta_seconds": 600,
            "jobs": [{"job_id": "j1", "type": "pickup"}]}]'::jsonb
    ))
"""


def what_is_not_fit_for_a_move_is_refused_and_nothing_changes(rig: Rig) -> None:
    same = rig.notifier("move", rig.before, rig.before)
    assert (same.returncode, "must differ in one shard" in same.stderr) == (2, True)
    stays, moves = (rig.here.conninfo(name) for name in SHARDS)
    alias = rig.file("alias", stays, moves.replace("127.0.0.1", "localhost"))
    itself = rig.notifier("move", rig.before, alias)
    assert (itself.returncode, "are the same database" in itself.stderr) == (2, True)
    not_the_routers = rig.notifier("move", alias, rig.after)
    assert not_the_routers.returncode == 2
    assert "the router asks move_1 at 127" in not_the_routers.stderr
    no_roles = rig.move()
    assert no_roles.returncode == 2
    assert "lacks these roles: scooters_ops_analyst" in no_roles.stderr
    shard = rig.here.conninfo(SHARDS[1])
    execute(
        shard,
        "select scooters_ops.report_notifier('n1', (select config_id from"
        " scooters_ops.config_in_force), '0001')",
    )
    execute(rig.there.conninfo(SHARDS[1]), "create schema if not exists scooters_ops")
    execute(rig.there.conninfo(SHARDS[1]), (SQL / "roles.sql").read_text("utf-8"))
    execute(rig.there.conninfo(SHARDS[1]), "drop schema scooters_ops")
    notified = rig.move()
    assert (notified.returncode, "are running: n1" in notified.stderr) == (2, True)
    execute(shard, "select scooters_ops.retire_notifier('n1')")
    assert execute(shard, "show default_transaction_read_only") == [("off",)]


def a_copy_that_differs_is_refused_and_the_old_database_goes_on(rig: Rig) -> None:
    old, new = rig.here.conninfo(SHARDS[1]), rig.there.conninfo(SHARDS[1])
    schema = subprocess.run(
        ["sh", "-c", f"pg_dump -d '{old}' | psql -X -q -1 -v ON_ERROR_STOP=1 -d '{new}'"],
        capture_output=True,
        text=True,
    )
    assert schema.returncode == 0, schema.stderr
    execute(new, "update scooters_ops.configs set applied_by = 'another'")
    finished = rig.move()
    assert finished.returncode == 2
    assert "differs from move_1" in finished.stderr
    assert " in configs: drop the schema" in finished.stderr
    assert "is writable again" in finished.stdout
    assert execute(old, "show default_transaction_read_only") == [("off",)]
    execute(new, "drop schema scooters_ops cascade")


def a_move_that_was_killed_can_be_undone(rig: Rig) -> None:
    old = rig.here.conninfo(SHARDS[1])
    execute(old, f"alter database {SHARDS[1]} set default_transaction_read_only = on")
    undone = rig.move("--undo")
    assert undone.returncode == 0, undone.stderr
    assert execute(old, "show default_transaction_read_only") == [("off",)]


def writers_go_on_and_nothing_is_lost_or_sent_twice(rig: Rig) -> None:
    old, new = rig.here.conninfo(SHARDS[1]), rig.there.conninfo(SHARDS[1])
    scheduled = rig.notifier("schedule", "--wait", "0", database=old)
    assert scheduled.returncode == 0, scheduled.stderr
    writer = Writer(rig.here.conninfo(ROUTER))
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        until(lambda: len(writer.done) > 20 or bool(writer.failures))
        rig.deliver(old)  # some were sent before the move, some are sent after it
        moved = rig.move()
        assert moved.returncode == 0, moved.stderr + moved.stdout
        before = len(writer.done)
        until(lambda: len(writer.done) > before + 10 or bool(writer.failures))
    finally:
        writer.stopping.set()
        thread.join()
    assert writer.failures == []

    missions_of = "select mission_id from scooters_ops.missions"
    stayed, moved_to = (
        [mission_id for (mission_id,) in execute(conninfo, missions_of)]
        for conninfo in (rig.here.conninfo(SHARDS[0]), new)
    )
    missions = Counter(stayed + moved_to)
    assert missions == Counter(writer.done)
    assert writer.refused, "the writer never noticed the move"
    assert writer.refused.keys() <= {*moved_to}, "missions of the other shard are not refused"
    assert {*writer.refused.values()} <= {"25006", "08006", "57P01"}
    router = rig.here.conninfo(ROUTER)
    seen = execute(router, "select mission_id from scooters_ops.mission_overview")
    assert Counter(mission_id for (mission_id,) in seen) == missions

    writable = make_conninfo(old, options="-c default_transaction_read_only=off")
    for conninfo in (rig.here.conninfo(SHARDS[0]), writable, new):
        rig.deliver(conninfo)
    texts = [message.text for message in rig.telegram.messages]
    assert (
        Counter(
            mission_id
            for text in texts
            for mission_id in missions
            if f"{mission_id}\n" in f"{text}\n"
        )
        == missions
    )


def after_the_move_the_new_database_has_the_jobs_and_the_old_one_is_silent(rig: Rig) -> None:
    old = rig.here.conninfo(SHARDS[1])
    jobs = "select jobname from cron.job where jobname ~ '@move_1$' order by 1"
    assert execute(rig.here.conninfo("postgres"), jobs) == []
    assert execute(rig.there.conninfo("postgres"), jobs) == [
        ("scooters_ops_detect@move_1",),
        ("scooters_ops_prune@move_1",),
        ("scooters_ops_prune_runs@move_1",),
    ]
    assert execute(old, "show default_transaction_read_only") == [("on",)]
    unsent = "select distinct step from scooters_ops.notification_recipients where state <> 'sent'"
    assert execute(old, unsent) == []
    assert execute(rig.there.conninfo(SHARDS[1]), unsent) == [("escalation_1",)]
    again = rig.move()
    assert again.returncode == 0, again.stderr
    assert "asks move_1 at" in again.stdout
    refused = rig.move("--undo")
    assert (refused.returncode, "already" in refused.stderr) == (2, True)


def test_a_shard_moves_to_another_server(rig: Rig) -> None:
    """One after the other: a shard moves once."""
    what_is_not_fit_for_a_move_is_refused_and_nothing_changes(rig)
    a_copy_that_differs_is_refused_and_the_old_database_goes_on(rig)
    a_move_that_was_killed_can_be_undone(rig)
    writers_go_on_and_nothing_is_lost_or_sent_twice(rig)
    after_the_move_the_new_database_has_the_jobs_and_the_old_one_is_silent(rig)
