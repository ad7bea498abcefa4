"""Commands that need a server session of their own, because their settings or locks outlast a
transaction."""

from __future__ import annotations

from contextlib import ExitStack, closing

import psycopg

from notifier.database.conninfo import conninfo
from notifier.database.errors import DatabaseUnusable


def require_session(command: str) -> None:
    """Raises DatabaseUnusable if a pooler may run each transaction in another session,
    psycopg.Error if the database cannot be reached.

    With such a pooler the command's settings would affect other clients, and not its own next
    transaction.
    """
    with ExitStack() as connections:

        def connect() -> psycopg.Connection[tuple[int]]:
            connection = psycopg.connect(
                conninfo(),
                autocommit=True,
                prepare_threshold=None,
                application_name=command,
                client_encoding="SQL_ASCII",  # every server accepts it
            )
            return connections.enter_context(closing(connection))

        own = connect()
        process_id = _process_id(own)
        if process_id == own.info.backend_pid:
            return  # no pooler
        # In session mode a pooler keeps the server process for this client. In transaction mode the
        # next client gets it, and this client gets another one while it is busy.
        other = connect()
        other.execute("begin")
        if _process_id(other) == process_id or _process_id(own) != process_id:
            raise DatabaseUnusable(
                f"{command} needs a session of its own, but there is a pooler in transaction mode"
                " in between: connect to PostgreSQL's own port"
            )


def _process_id(connection: psycopg.Connection[tuple[int]]) -> int:
    ((process_id,),) = connection.execute("select pg_catalog.pg_backend_pid()").fetchall()
    return process_id
