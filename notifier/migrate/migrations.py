"""Brings a database up to date: the missing migrations, then sql/.

Each migration is one transaction, and so is the installation of sql/. A migration that begins with
"-- transactional: false" builds indexes while everybody works; it can be repeated if it fails half
way. Two processes that migrate one database at once take turns, and the second one finds nothing to
do.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

import psycopg
from yoyo import internalmigrations, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table

from notifier.database.errors import DatabaseUnusable
from notifier.database.schema_version import known_migrations, version_problem
from notifier.migrate.connection import SETTINGS, connect
from notifier.migrate.installation import install
from notifier.migrate.locks import PATIENCE_SECONDS, Attempts, limits, milliseconds
from notifier.migrate.turn import take_turn
from notifier.resources import MIGRATIONS, SQL

INSTALL = SQL / "install.sql"

logging.getLogger("yoyo").setLevel(logging.WARNING)  # at INFO it logs every statement


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo on our connection, with its tables in our schema."""

    def connect(self, dburi: Any) -> psycopg.Connection[Any]:
        return connect()

    def init_connection(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("set search_path = scooters_ops, pg_temp")

    def copy(self) -> AbstractContextManager[Backend]:
        """The same connection again, so that one transaction applies a migration and records it.

        yoyo itself records it on a second connection. A crash between the two commits would leave
        a migration applied but not recorded.
        """
        return nullcontext(self)


def migrate(
    patience_seconds: float = PATIENCE_SECONDS, say: Callable[[str], None] | None = None
) -> list[str]:
    """Applies what is missing; returns the names of the migrations that it applied.

    It makes no other session wait longer than half a second: an attempt that does not get its
    locks in time is rolled back, and repeated for up to `patience_seconds`. `say` gets a line about
    what it waits for; by default the line goes to standard error.

    Raises psycopg.Error, and DatabaseUnusable if the database's encoding cannot be used, a newer
    version migrated it, a migration or a file of sql/ fails, or patience runs out.
    """
    say = say or _say
    with closing(connect()) as turn, closing(connect()) as witness:
        take_turn(turn, patience_seconds, say)
        backend = Backend(parse_uri("postgresql+psycopg://"), default_migration_table)
        with closing(backend.connection) as worker:
            attempts = Attempts(worker, witness, patience_seconds, say)
            if internalmigrations.needs_upgrading(backend):
                backend.init_database()
                backend.break_lock()  # a migration that was killed left it: we hold the turn
            missing = backend.to_apply(read_migrations(str(MIGRATIONS)))
            _refuse_newer(witness)
            for migration in missing:
                _apply(backend, migration, attempts)
            worker.execute(f"set search_path = {SETTINGS['search_path']}")
            install(worker, attempts, INSTALL)
    return [migration.id for migration in missing]


def _apply(backend: Backend, migration: Any, attempts: Attempts) -> None:
    def attempt() -> None:
        with backend.transaction():
            backend.execute(f"set local lock_timeout = '{milliseconds(lock_seconds)}'")
            backend.apply_one(migration)

    _, lock_seconds = limits(backend.connection)
    migration.load()
    what = f"migration {migration.id}"
    try:
        if migration.use_transactions:
            attempts.until_done(attempt, what)
        else:
            attempts.patiently(lambda: backend.apply_one(migration), what)
    except psycopg.Error as error:
        raise DatabaseUnusable(f"migration {migration.id} failed: {str(error).strip()}") from None


def _refuse_newer(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute("select migration_id from scooters_ops._yoyo_migration").fetchall()
    applied, known = [name for (name,) in rows], known_migrations()
    if not set(applied) <= set(known):
        problem = version_problem(applied, known)
        raise DatabaseUnusable(f"database {connection.info.dbname!r}: {problem}")


def _say(what: str) -> None:
    print(f"migrate: {what}", file=sys.stderr)
