"""Brings a database up to date: the versioned migrations, then all of sql/ that can be rebuilt.

    python -m notifier.migrate        (make migrate; it applies config.json afterwards)

Two at once take turns, and the second finds nothing to do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from psycopg.pq import Conninfo
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table

from notifier.config import ROOT
from notifier.database import (
    MIGRATIONS,
    DatabaseUnusable,
    conninfo,
    known_migrations,
    version_problem,
)

INSTALL = ROOT / "sql" / "install.sql"
LOCK = "scooters_ops.migrate"


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo on libpq's own connection string, with its tables in our schema."""

    def connect(self, dburi: Any) -> psycopg.Connection[Any]:
        self.schema = "scooters_ops"
        return psycopg.connect(conninfo(), autocommit=True)

    def copy(self) -> AbstractContextManager[Backend]:
        """yoyo would do a migration on one connection and note it on another: a crash between the
        two would leave it done and not noted. On one connection one transaction holds both."""
        return nullcontext(self)


def migrate() -> list[str]:
    """Applies what is missing; returns the names of the migrations that it applied.

    Raises psycopg.Error, and DatabaseUnusable where a newer version migrated the database, or a
    migration or sql/install.sql fails; each migration is a transaction, and so is install.sql.
    """
    with psycopg.connect(conninfo(), autocommit=True) as connection, _locked(connection):
        connection.execute("create schema if not exists scooters_ops")
        backend = Backend(parse_uri("postgresql+psycopg://"), default_migration_table)
        try:
            backend.init_database()
            backend.break_lock()  # whoever left one is gone: ours is held
            missing = backend.to_apply(read_migrations(str(MIGRATIONS)))
            _refuse_newer(connection)
            for migration in missing:
                _apply(backend, migration)
        finally:
            backend.connection.close()
        _install()
    return [migration.id for migration in missing]


def _apply(backend: Backend, migration: Any) -> None:
    try:
        with backend.transaction():
            backend.apply_one(migration)
    except psycopg.Error as error:
        raise DatabaseUnusable(f"migration {migration.id} failed: {str(error).strip()}") from None


def _refuse_newer(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute("select migration_id from scooters_ops._yoyo_migration").fetchall()
    applied, known = [name for (name,) in rows], known_migrations()
    if not set(applied) <= set(known):
        problem = version_problem(applied, known)
        raise DatabaseUnusable(f"database {connection.info.dbname!r}: {problem}")


@contextmanager
def _locked(connection: psycopg.Connection[Any]) -> Iterator[None]:
    connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (LOCK,))
    yield  # closing the connection unlocks, whatever happens


def _install() -> None:
    # In the environment, not as an argument: others on this machine may read arguments.
    options = {
        option.envvar.decode(): option.val.decode()
        for option in Conninfo.parse(conninfo().encode())
        if option.envvar and option.val
    }
    finished = subprocess.run(
        ["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", str(INSTALL)],
        env=os.environ | options,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise DatabaseUnusable(f"sql/install.sql failed:\n{finished.stderr.strip()}")


def main() -> int:
    try:
        names = migrate()
    except (psycopg.Error, DatabaseUnusable) as error:
        print(f"migrate: {str(error).strip()}", file=sys.stderr)
        return 2
    except FileNotFoundError:
        print("migrate: there is no psql: make install", file=sys.stderr)
        return 2
    print(f"migrated: {', '.join(names) or 'nothing to apply'}; sql/ installed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
