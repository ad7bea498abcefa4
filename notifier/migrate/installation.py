"""Installs sql/ in one transaction, without locking anybody out.

`psql -1 -f sql/install.sql` installs everything unconditionally. The installation here skips what
the database already has. Statements that need strong locks run last, within a time limit.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import psycopg

from notifier.database.errors import DatabaseUnusable
from notifier.migrate.comparison import Comparison
from notifier.migrate.locks import NOT_GRANTED, Attempts, NotInTime, limits, milliseconds
from notifier.migrate.statements import (
    FUNCTION,
    LOCKS_NOBODY_OUT,
    TRIGGER,
    VIEW,
    Statement,
    statements,
)

# The order in which writers lock these tables. Locking them in the same order avoids deadlocks.
WRITERS_ORDER = (
    "scooters_ops.missions",
    "scooters_ops.mission_points",
    "scooters_ops.mission_jobs",
    "scooters_ops.missions_history",
    "scooters_ops.monitoring_notifications",
)

# They lock the table by which passes and pruning take turns, so they come last: pruning waits for
# that lock while it holds weak ones on views.
STOPS_DETECTION = re.compile(r"comment on (table|column) scooters_ops\.detection_lock[\s.]")

READS_A_VIEW = """
    select
    from pg_depend as dependency
    left join pg_rewrite as rule
        on
            dependency.classid = 'pg_rewrite'::regclass
            and dependency.objid = rule.oid
    left join pg_proc as function
        on
            dependency.classid = 'pg_proc'::regclass
            and dependency.objid = function.oid
    where
        dependency.refclassid = 'pg_class'::regclass
        and dependency.refobjid = any(%(views)s::regclass[])
        and (
            rule.ev_class = to_regclass(%(name)s)
            or function.pronamespace::regnamespace || '.' || function.proname = %(name)s
        )
    limit 1
"""


def install(
    connection: psycopg.Connection[Any], attempts: Attempts, table_of_contents: Path
) -> None:
    """Installs the statements whose results the database lacks: all of them or none.

    Raises DatabaseUnusable, with the file, if a statement fails, and if other sessions do not
    release the locks that it needs.
    """
    wanted = statements(table_of_contents)
    attempts.until_done(lambda: Installation(connection).run(wanted), "the installation of sql/")


class Installation:
    """One attempt, in one transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._comparison = Comparison(connection)
        self._budget_seconds, _ = limits(connection)
        self._deferred: list[Statement] = []
        self._deferred_views: list[str] = []

    def run(self, wanted: list[Statement]) -> None:
        """Raises DatabaseUnusable, one of NOT_GRANTED, or NotInTime; then nothing has changed."""
        with self._connection.transaction():
            self._execute(f"set local lock_timeout = '{milliseconds(self._budget_seconds)}'")
            for statement in wanted:
                if self._reads_deferred_view(statement) or not self._comparison.has(statement):
                    self._execute_or_defer(statement)
            self._execute_deferred()

    def _execute_or_defer(self, statement: Statement) -> None:
        view = VIEW.match(statement.words)
        replaces_view = view and self._first("select to_regclass(%s)", (view["name"],)) != (None,)
        if view and replaces_view:
            self._deferred_views.append(view["name"])
        locks_nobody_out = LOCKS_NOBODY_OUT.match(statement.words) and not _stops_detection(
            statement
        )
        if replaces_view or not locks_nobody_out:
            self._deferred.append(statement)
            return
        try:
            with self._connection.transaction():
                self._execute(statement.text)
        except NOT_GRANTED:
            raise
        except psycopg.Error:  # it is broken, or it needs a deferred statement
            self._deferred.append(statement)
            return
        # The function may read, and the do block inspect, a view that is yet to be replaced.
        inspects_views = statement.words.startswith("do ") and self._deferred_views
        if inspects_views or self._reads_deferred_view(statement):
            self._deferred.append(statement)

    def _reads_deferred_view(self, statement: Statement) -> bool:
        """Whether the view or function that the database has reads a view that will be replaced."""
        match = VIEW.match(statement.words) or FUNCTION.match(statement.words)
        if match is None or not self._deferred_views:
            return False
        values = {"views": self._deferred_views, "name": match["name"]}
        return self._first(READS_A_VIEW, values) is not None

    def _execute_deferred(self) -> None:
        """Others may have to wait from its first lock until the commit."""
        deadline = time.monotonic() + self._budget_seconds
        triggers = [TRIGGER.match(statement.words) for statement in self._deferred]
        tables = {match["table"] for match in triggers if match}
        for table in sorted(tables, key=_writers_position):
            self._execute_by(
                deadline, f"lock table only {table} in share row exclusive mode", table
            )
        for statement in sorted(self._deferred, key=_stops_detection):
            self._execute_by(deadline, statement.text, str(statement.file))

    def _execute_by(self, deadline: float, query: str, name: str) -> None:
        left = milliseconds(deadline - time.monotonic())
        try:
            self._execute(
                f"set local lock_timeout = '{left}';"
                f" set local statement_timeout = '{left}';"
                f" {query}"
            )
        except psycopg.errors.QueryCanceled:
            budget = milliseconds(self._budget_seconds)
            raise NotInTime(f"{name} took longer than {budget}") from None
        except NOT_GRANTED:
            raise
        except psycopg.Error as error:
            raise DatabaseUnusable(f"{name}: {str(error).strip()}") from None

    def _execute(self, query: str) -> None:
        self._connection.execute(query.encode())

    def _first(self, query: str, values: Any) -> tuple[Any, ...] | None:
        return self._connection.execute(query.encode(), values).fetchone()


def _stops_detection(statement: Statement) -> bool:
    return STOPS_DETECTION.match(statement.words) is not None


def _writers_position(table: str) -> int:
    return WRITERS_ORDER.index(table) if table in WRITERS_ORDER else len(WRITERS_ORDER)
