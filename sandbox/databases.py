"""A migrated database on a private PostgreSQL."""

from __future__ import annotations

import os
from unittest.mock import patch

import psycopg

from notifier.migrate import migrate
from sandbox.postgres import Postgres


def create_migrated(server: Postgres, name: str) -> None:
    """Create a database and migrate it; it has no config yet."""
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    with patch.dict(os.environ, DATABASE_URL=server.conninfo(name)):
        migrate()
