"""Connections for migrating: the same settings on every server, and an encoding that works."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from notifier.database.conninfo import conninfo
from notifier.database.errors import DatabaseUnusable

# They override those of the server, the database, the role and the connection string: statements
# may take long, and SQL means the same everywhere. A setting that the server lacks is skipped.
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


def connect() -> psycopg.Connection[Any]:
    """A connection in autocommit with SETTINGS. Raises DatabaseUnusable for an encoding that
    PostgreSQL cannot convert to UTF-8, and psycopg.Error."""
    connection = psycopg.connect(
        conninfo(),
        autocommit=True,
        application_name="make migrate",
        client_encoding="SQL_ASCII",  # every server accepts it; SETTINGS then say UTF8
    )
    try:
        # Before anything that looks up a name.
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
    """Texts are sent and read as UTF-8, so the server must be able to convert to it."""
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
