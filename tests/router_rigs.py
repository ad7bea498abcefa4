"""A router over four shards in two servers, one of which asks for a password."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal

from notifier.router import make_router
from notifier.router.shards import Shard
from sandbox.databases import create_migrated
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, TEMPLATE, TestDatabase

WORD = "Eierkuchen"
LOGIN, PASSWORD = "shard_login", f"it's {WORD} \\ secret"
"""The user of the second server whom the router logs in as."""

KEPT = ("_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock", "migrate_turn",
        "detection_lock", "news_horizon")  # fmt: skip
"""Tables of a shard that keep their rows when it is emptied."""


@dataclass(frozen=True)
class RouterRig:
    """A router in the first server.

    shards   in the order of their numbers; the first two are in the first server
    single   one database that has what all shards together have
    file     the list that `router` was made from
    """

    router: TestDatabase
    shards: Sequence[TestDatabase]
    single: TestDatabase
    file: Path

    def make(self, *lines: str) -> list[Shard]:
        """Make the router again, from a list with these lines; without lines from its own."""
        if lines:
            self.file.with_suffix(".other").write_text("\n".join(lines))
        with patch.dict(os.environ, DATABASE_URL=self.router.conninfo):
            return make_router(self.file.with_suffix(".other") if lines else self.file)

    def lines(self) -> list[str]:
        """The connection strings of the shards."""
        return self.file.read_text("utf-8").splitlines()

    def shard_of(self, mission_id: str) -> TestDatabase:
        """The shard that a mission lives in."""
        number = self.router.value("select scooters_router.shard_of(%s)", mission_id)
        return self.shards[int(number)]

    def empty(self) -> None:
        """Remove all missions and configs, with everything that belongs to them; apply
        config.json."""
        for database in (*self.shards, self.single):
            tables = database.values(
                "select format('scooters_ops.%%I', relname) from pg_class"
                " where relnamespace = 'scooters_ops'::regnamespace and relkind in ('r', 'p')"
                " and not relispartition and relname <> all(%s)",
                list(KEPT),
            )
            database.connection.execute(f"truncate {', '.join(tables)} restart identity cascade")
        self.router.connection.execute("truncate scooters_ops.configs restart identity")
        for database in (self.router, self.single):
            database.apply_config()


@contextmanager
def second_server() -> Iterator[Postgres]:
    """A server with a migrated template, where LOGIN needs a password."""
    with Postgres(server_settings={"password_encryption": "scram-sha-256"}) as server:
        create_migrated(server, TEMPLATE)
        with psycopg.connect(server.conninfo(TEMPLATE), autocommit=True) as connection:
            connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(CONFIG),))
            connection.execute(
                SQL("create role {} superuser login password {}").format(
                    Identifier(LOGIN), Literal(PASSWORD)
                )
            )
            hba = Path(server.get_data_directory(), "pg_hba.conf")
            hba.write_text(f"host all {LOGIN} all scram-sha-256\n" + hba.read_text("utf-8"))
            connection.execute("select pg_reload_conf()")
        yield server


def _copy(server: Postgres, name: str, stack: ExitStack) -> TestDatabase:
    """A copy of the server's template."""
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
    connection = stack.enter_context(psycopg.connect(server.conninfo(name), autocommit=True))
    return TestDatabase(server, name, connection)


@contextmanager
def open_rig(first: Postgres, folder: Path) -> Iterator[RouterRig]:
    """A rig whose first server runs already."""
    with second_server() as second, ExitStack() as stack:
        servers = (first, first, second, second)
        shards = [_copy(server, f"shard{n}", stack) for n, server in enumerate(servers)]
        single = _copy(first, "single", stack)
        with psycopg.connect(first.conninfo("postgres"), autocommit=True) as admin:
            admin.execute("create database router")
        connection = stack.enter_context(psycopg.connect(first.conninfo("router"), autocommit=True))
        file = folder / "shards.txt"
        file.write_text(
            "\n".join(
                make_conninfo(shard.conninfo, user=LOGIN, password=PASSWORD)
                if shard.cluster is second
                else shard.conninfo
                for shard in shards
            )
        )
        rig = RouterRig(TestDatabase(first, "router", connection), shards, single, file)
        rig.make()
        yield rig
        stack.close()
        with psycopg.connect(first.conninfo("postgres"), autocommit=True) as admin:
            for name in ("router", "single", "shard0", "shard1"):
                admin.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def router_rig(cluster: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterRig]:
    """A rig for the tests of one file."""
    with open_rig(cluster, tmp_path_factory.mktemp("router")) as rig:
        yield rig
