"""Which database to use: DATABASE_URL if it is set, otherwise libpq's own environment variables
(PGHOST, PGSERVICE and the rest), as with psql."""

from __future__ import annotations

import os
import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

from notifier.database.errors import DatabaseUnusable


def conninfo() -> str:
    """libpq's connection string. Empty: libpq reads its environment variables.

    Raises DatabaseUnusable if libpq cannot parse DATABASE_URL, or would take part of its password
    for the host, the port or the database name: libpq's own error message would show that part.
    """
    text = os.environ.get("DATABASE_URL", "")
    try:
        options = conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        options = None
    if (
        options is None
        or any("@" in str(options.get(name, "")) for name in ("host", "dbname"))
        or not re.fullmatch(r"[0-9,]*", str(options.get("port", "")))
    ):
        raise DatabaseUnusable(
            "DATABASE_URL is not a connection string that libpq can read"
            " (in a URL, percent-encode the special characters of the password)"
        )
    return text
