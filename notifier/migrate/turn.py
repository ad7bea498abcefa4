"""One process at a time migrates a database."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import psycopg

from notifier.database.errors import DatabaseUnusable
from notifier.migrate.locks import HOLDER_COLUMNS, Holder, pauses

TURN = "scooters_ops.migrate_turn"
"""An empty table. Only a role with rights on our schema can lock it, unlike an advisory lock."""
CREATE_TURN = f"""
    create schema if not exists scooters_ops;
    create table {TURN} ();
    alter table {TURN} replica identity full;
    comment on table {TURN} is
    'Empty. make migrate locks it, so that two at once take turns.'
"""
CREATED_MEANWHILE = (
    psycopg.errors.DuplicateSchema,
    psycopg.errors.DuplicateTable,
    psycopg.errors.UniqueViolation,
)
TURN_HOLDERS = f"""
    select
        held.pid,
        {HOLDER_COLUMNS},
        'the lock of make migrate' as what
    from pg_locks as held
    left join pg_stat_activity as activity on activity.pid = held.pid
    where held.granted and held.relation = to_regclass('{TURN}')
"""  # noqa: S608  # our own constant


def take_turn(
    connection: psycopg.Connection[Any], patience_seconds: float, say: Callable[[str], None]
) -> None:
    """Locks TURN until the connection is closed. Creates it, and the schema, if necessary.

    Raises DatabaseUnusable, with the sessions that hold it, when patience runs out.
    """
    began = time.monotonic()
    has_said = False
    for pause in pauses():
        if connection.execute("select to_regclass(%s)", (TURN,)).fetchone() == (None,):
            with contextlib.suppress(*CREATED_MEANWHILE):
                connection.execute(CREATE_TURN)
        connection.execute("begin")
        try:
            connection.execute(f"lock table {TURN} in exclusive mode nowait")
            return
        except psycopg.errors.LockNotAvailable:
            connection.execute("rollback")
        found = connection.execute(TURN_HOLDERS).fetchall()
        if not found:  # it was released in between
            continue
        holders = "; ".join(str(Holder(*row)) for row in found)
        if not has_said:
            has_said = True
            say(f"make migrate waits for its turn: {holders}")
        if time.monotonic() - began + pause > patience_seconds:
            raise DatabaseUnusable(f"make migrate never got its turn: {holders}")
        time.sleep(pause)
