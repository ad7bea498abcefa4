"""What needs a session of its own, such as settings and locks that outlast a transaction."""

from __future__ import annotations

from contextlib import ExitStack, closing

import psycopg

from notifier.database.conninfo import conninfo
from notifier.database.errors import DatabaseUnusable


def require_session(command: str) -> None:
    """Raises DatabaseUnusable where a pooler gives each transaction another session, and
    psycopg.Error where the database cannot be reached.

    Settings made in such a session would reach other clients, and vanish from the command's.
    """
    with ExitStack() as connections:

        def connect() -> psycopg.Connection[tuple[int]]:
            connection = psycopg.connect(
                conninfo(),
                autocommit=True,
                prepare_threshold=None,
                application_name=command,
                client_encoding="SQL_ASCII",  # which every server accepts
            )
            return connections.enter_context(closing(connection))

        own = connect()
        process_id = _process_id(own)
        if process_id == own.info.backend_pid:
            return  # no pooler
        # A pooler in session mode keeps the server's process for this client. In transaction mode
        # the next client gets it, and while that one has it this client gets another one.
        other = connect()
        other.execute("begin")
        if _process_id(other) == process_id or _process_id(own) != process_id:
            raise DatabaseUnusable(
                f"{command} needs a session of its own, and there is a pooler in transaction mode"
                " between: connect to PostgreSQL's own port"
            )


def _process_id(connection: psycopg.Connection[tuple[int]]) -> int:
    ((process_id,),) = connection.execute("select pg_catalog.pg_backend_pid()").fetchall()
    return process_id
