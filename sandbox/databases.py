"""A migrated database on a private PostgreSQL."""

from __future__ import annotations

import os
from unittest.mock import patch

import psycopg

from notifier.migrate import installation, migrate
from sandbox.postgres import Postgres

PATIENCE_SECONDS = 300.0


def create_migrated(server: Postgres, name: str) -> None:
    """Create a database and migrate it; it has no config yet.

    Nobody uses it meanwhile, so the installation of sql/ may keep its locks: on a busy machine it
    would otherwise give up again and again.
    """
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    patience = (PATIENCE_SECONDS, PATIENCE_SECONDS)
    with (
        patch.dict(os.environ, DATABASE_URL=server.conninfo(name)),
        patch.object(installation, "limits", lambda _: patience),
    ):
        migrate()
