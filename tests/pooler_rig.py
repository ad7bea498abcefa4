"""A real PgBouncer in front of a test database."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from tests.conftest import TestDatabase, until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True)
class Pooler:
    """PgBouncer on 127.0.0.1. It trusts everybody, and has one server session per user, so that
    every client finds what another one left in it."""

    database: TestDatabase
    port: int

    def conninfo(self, user: str) -> str:
        return make_conninfo(host="127.0.0.1", port=self.port, user=user, dbname=self.database.name)

    def environment(self, user: str) -> dict[str, str]:
        """The environment for libpq to connect here."""
        return self.database.environment | {"PGPORT": str(self.port), "PGUSER": user}

    def show(self, what: str) -> list[dict[str, Any]]:
        """An answer of its admin console."""
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="pgbouncer",
            dbname="pgbouncer",
            autocommit=True,
            prepare_threshold=None,
        ) as console:
            cursor = psycopg.ClientCursor(console, row_factory=dict_row)
            return cursor.execute(f"show {what}").fetchall()


@contextmanager
def pooler(database: TestDatabase, mode: str = "transaction", size: int = 1) -> Iterator[Pooler]:
    """PgBouncer, killed at the end. It refuses to run as root."""
    assert PROGRAM, "PgBouncer is not installed: sh deploy/packages.sh"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = Path(folder, "pgbouncer.ini")
        config.write_text(
            f"""
[databases]
{database.name} = host=127.0.0.1 port={database.cluster.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
admin_users = pgbouncer
pool_mode = {mode}
default_pool_size = {size}
logfile = {folder}/log
"""
        )
        Path(folder, "users").write_text(
            "".join(f'"{user}" ""\n' for user in ("pgbouncer", *_users(database)))
        )
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if account is not None:
            for path in (Path(folder), *Path(folder).iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
        process = subprocess.Popen(
            [PROGRAM, "-q", str(config)],
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=[] if account is not None else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            own = Pooler(database, port)
            until(lambda: process.poll() is not None or _answers(own))
            assert process.poll() is None, Path(folder, "log").read_text()
            yield own
        finally:
            process.kill()
            process.wait()


def _users(database: TestDatabase) -> list[str]:
    return [str(name) for name in database.values("select rolname from pg_roles where rolcanlogin")]


def _answers(own: Pooler) -> bool:
    try:
        own.show("version")
    except psycopg.OperationalError:
        return False
    return True
