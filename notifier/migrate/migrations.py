"""Brings a database up to date: the versioned migrations, then all of sql/ that can be rebuilt.

`notifier migrate` (make migrate) calls migrate(). Two at once take turns, and the second finds
nothing to do. Each migration is a transaction, and so is the installation of sql/.
"""

from __future__ import annotations

import json
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

from notifier.config import ROOT
from notifier.database import (
    MIGRATIONS,
    DatabaseUnusable,
    conninfo,
    known_migrations,
    version_problem,
)
from notifier.migrate.installation import install
from notifier.migrate.locks import (
    PATIENCE_SECONDS,
    Attempts,
    limits,
    milliseconds,
    take_turn,
)

INSTALL = ROOT / "sql" / "install.sql"

logging.getLogger("yoyo").setLevel(logging.WARNING)  # it tells of every statement

# Whatever the server, the database, the role or the connection string may say else: statements may
# take long, and SQL reads and is written out in one way. What a server does not know is left out.
SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "search_path": "pg_catalog, pg_temp",
    "check_function_bodies": "on",
    "default_table_access_method": "heap",
    "row_security": "off",
    "jit": "off",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo on a connection of ours, with its tables in our schema."""

    def connect(self, dburi: Any) -> psycopg.Connection[Any]:
        return _connect()

    def init_connection(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("set search_path = scooters_ops, pg_temp")

    def copy(self) -> AbstractContextManager[Backend]:
        """yoyo would do a migration on one connection and note it on another: a crash between the
        two would leave it done and not noted. On one connection one transaction holds both."""
        return nullcontext(self)


def migrate(
    patience_seconds: float = PATIENCE_SECONDS, say: Callable[[str], None] | None = None
) -> list[str]:
    """Applies what is missing; returns the names of the migrations that it applied.

    Nobody waits for it for longer than half a second: where a lock is not granted soon it tries
    again, for as long as patience lasts. `say` is told what it waits for; None: standard error.

    Raises psycopg.Error, and DatabaseUnusable where the database's encoding does not do, a newer
    version migrated it, a migration or a file of sql/ fails, or somebody stays in the way.
    """
    say = say or _say
    with closing(_connect()) as turn, closing(_connect()) as witness:
        take_turn(turn, patience_seconds, say)
        backend = Backend(parse_uri("postgresql+psycopg://"), default_migration_table)
        with closing(backend.connection) as worker:
            attempts = Attempts(worker, witness, patience_seconds, say)
            if internalmigrations.needs_upgrading(backend):
                backend.init_database()
                backend.break_lock()  # whoever left one is gone: it is our turn
            missing = backend.to_apply(read_migrations(str(MIGRATIONS)))
            _refuse_newer(witness)
            for migration in missing:
                _apply(backend, migration, attempts)
            worker.execute(f"set search_path = {SETTINGS['search_path']}")
            install(worker, attempts, INSTALL)
    return [migration.id for migration in missing]


def _connect() -> psycopg.Connection[Any]:
    connection = psycopg.connect(
        conninfo(),
        autocommit=True,
        application_name="make migrate",
        client_encoding="SQL_ASCII",  # every server accepts it; UTF8 follows below
    )
    try:
        # First of all: whatever looks a name up comes after.
        connection.execute(f"set search_path = {SETTINGS['search_path']}")
        connection.execute("set statement_timeout = 0")
        _refuse_encoding(connection)
        connection.execute(
            "select set_config(known.name, wanted.value, false)"
            " from jsonb_each_text(%s::jsonb) as wanted (name, value)"
            " inner join pg_catalog.pg_settings as known on known.name = wanted.name",
            (json.dumps(SETTINGS),),
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_encoding(connection: psycopg.Connection[Any]) -> None:
    """Texts come and go as UTF-8: the server must be able to convert them."""
    encoding = connection.info.parameter_status("server_encoding") or ""
    converts = connection.execute(
        "select from pg_catalog.pg_conversion"
        " where condefault and conforencoding = pg_catalog.pg_char_to_encoding(%s)"
        " and contoencoding = pg_catalog.pg_char_to_encoding('UTF8')",
        (encoding,),
    ).fetchone()
    if encoding != "UTF8" and converts is None:
        raise DatabaseUnusable(
            f"database {connection.info.dbname!r} has the encoding {encoding}, which PostgreSQL"
            " cannot convert to UTF-8, so that names and messages would be garbled:"
            " create it with encoding 'UTF8' (template template0)"
        )


def _apply(backend: Backend, migration: Any, attempts: Attempts) -> None:
    def attempt() -> None:
        with backend.transaction():
            backend.execute(f"set local lock_timeout = '{milliseconds(lock_seconds)}'")
            backend.apply_one(migration)

    _, lock_seconds = limits(backend.connection)
    try:
        attempts.until_done(attempt, f"migration {migration.id}")
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
