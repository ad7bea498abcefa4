"""What can go wrong with the database, and whether trying again can help.

    DatabaseUnusable   the database cannot be used as it is: a person must act
    └── DatabaseNewer  a newer version of this program has migrated it

Everything else is a psycopg.Error; is_temporary says which of them may pass, and is_shard_away
which of those concern one shard of a router.
"""

from __future__ import annotations

import psycopg

# connection exception, transaction rollback, insufficient resources, operator intervention
# (cancelled, shutting down, starting up), system error
_TEMPORARY_CLASSES = frozenset({"08", "40", "53", "57", "58"})
_TEMPORARY = frozenset(
    {
        "25006",  # read_only_sql_transaction: a standby; the primary is elsewhere, or will be here
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "55006",  # object_in_use
        "55P03",  # lock_not_available
    }
)


class DatabaseUnusable(Exception):
    """The database cannot be used as it is; the message says why and what to do."""


class DatabaseNewer(DatabaseUnusable):
    """A newer version of this program has migrated the database."""


def is_temporary(error: psycopg.Error) -> bool:
    """Whether the same statement may succeed later, on a new connection. The database would refuse
    any other statement again.

    The SQLSTATE decides, not psycopg's class: OperationalError also covers errors that never pass,
    such as 55000 (object_not_in_prerequisite_state).
    """
    sqlstate = error.sqlstate
    if sqlstate is None:  # the connection broke, or libpq or psycopg raised it
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if sqlstate == "0A000":  # "cached plan must not change result type", in any language
        return error.diag.source_function == "RevalidateCachedQuery"
    return sqlstate[:2] in _TEMPORARY_CLASSES or sqlstate in _TEMPORARY


def is_shard_away(error: psycopg.Error) -> bool:
    """Whether a router says that one of its shards cannot serve now: it gives no answer, or is
    read-only while it moves. The router's own connection is fine, and other shards may serve."""
    is_raised = error.diag.source_function == "exec_stmt_raise"  # by scooters_router's functions
    return is_raised and is_temporary(error)


def reason(error: psycopg.Error) -> str:
    """The server's message with its SQLSTATE, or psycopg's message if the server sent none."""
    if error.sqlstate is None:
        return str(error)
    return f"{error.diag.message_primary} (SQLSTATE {error.sqlstate})"
