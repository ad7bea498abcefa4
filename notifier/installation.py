"""Installs sql/: all that can be rebuilt, in one transaction, without locking out who works.

The table of contents is sql/install.sql. `psql -1 -f sql/install.sql` installs all of it; here what
the database has already is left alone: views, functions, triggers, and the comments of tables and
views. What must lock comes last and together, for a moment that is bounded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from notifier.database import DatabaseUnusable
from notifier.locks import NOT_GRANTED, Attempts, NotInTime, limits, milliseconds

VIEW = re.compile(r"create or replace view (?P<name>\w+\.\w+)\s")
TRIGGER = re.compile(r"create or replace trigger (?P<name>\w+) .*? on (?P<table>\w+\.\w+) ")
COMMENT = re.compile(
    r"comment\s+on\s+(?:table|view|index|column)\s+(?P<name>\w+\.\w+)(?:\.(?P<column>\w+))?\s+is"
    r"\s+'(?P<text>(?:[^']|'')*)'"
)
FUNCTION = re.compile(r"create or replace (?:function|procedure) (?P<name>\w+\.\w+)\s*\(")
LOCKS_NOBODY_OUT = re.compile(
    r"(create or replace (function|procedure|view)|comment on|grant|revoke|do|set|reset)\s"
)

# Writers lock in this order; where a transaction does not, an attempt that crosses it gives up.
WRITERS_ORDER = (
    "scooters_ops.missions",
    "scooters_ops.mission_points",
    "scooters_ops.mission_jobs",
    "scooters_ops.missions_history",
    "scooters_ops.monitoring_notifications",
)

# A view or function that exists is made a second time under this name, and a trigger on a table of
# this name; then that is rolled back.
TWIN = "scooters_ops.make_migrate_compares"

VIEW_AS_IT_IS = """
    select
        pg_get_viewdef(view.oid),
        view.reloptions,
        array(
            select
                format(
                    '%%I %%s %%s', attname, format_type(atttypid, atttypmod), attcollation
                )
            from pg_attribute
            where attrelid = view.oid and attnum > 0
            order by attnum
        )
    from pg_class as view
    where view.oid = to_regclass(%s)
"""

# A body may name a parameter together with its function.
FUNCTIONS_AS_THEY_ARE = r"""
    select
        array_agg(
            regexp_replace(
                regexp_replace(pg_get_functiondef(oid), '^(CREATE OR REPLACE \w+) [^(]+', '\1'),
                '\m' || proname || '\.',
                'it.',
                'g'
            )
        )
    from pg_proc
    where pronamespace::regnamespace || '.' || proname = %(name)s
"""

TRIGGER_AS_IT_IS = """
    select replace(pg_get_triggerdef(oid), ' ON ' || %(table)s || ' ', ' ON ')
    from pg_trigger
    where
        tgrelid = to_regclass(%(table)s)
        and tgname = %(name)s
        and not tgisinternal
        and tgenabled in ('O', 'A')
"""

COMMENT_AS_IT_IS = """
    select
        col_description(
            to_regclass(%(name)s),
            case
                when %(column)s::text is null then 0
                else (
                    select attnum
                    from pg_attribute
                    where attrelid = to_regclass(%(name)s) and attname = %(column)s
                )
            end
        )
"""

STANDS_ON = """
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

# Comments, literals and names in quotes, dollar quotes, words, and whatever is left.
TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|"""
    r"""\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|\w+|.""",
    re.DOTALL,
)


@dataclass(frozen=True)
class Statement:
    """A statement of sql/, and the file that holds it."""

    file: Path
    text: str
    """As it is written, without its semicolon and what comes before its first word."""

    @property
    def words(self) -> str:
        """The text with single spaces, for patterns."""
        return " ".join(self.text.split())


def statements(install: Path) -> list[Statement]:
    """What the files that install.sql names hold, in its order."""
    names = re.findall(r"^\\ir (\S+)$", install.read_text("utf-8"), re.MULTILINE)
    return [
        Statement(install.parent / name, text)
        for name in names
        for text in split((install.parent / name).read_text("utf-8"))
    ]


def split(script: str) -> Iterator[str]:
    """The statements of a script; the semicolons of an SQL-standard body are the body's."""
    parts: list[str] = []
    depth = 0
    before = ""
    for match in TOKEN.finditer(script):
        piece = match[0]
        if piece == ";" and depth == 0:
            yield "".join(parts).rstrip()
            parts = []
            continue
        word = piece.lower()
        if (before, word) == ("begin", "atomic") or (depth > 0 and word == "case"):
            depth += 1
        elif depth > 0 and word == "end":
            depth -= 1
        is_blank = piece.isspace() or piece.startswith(("--", "/*"))
        if parts or not is_blank:
            parts.append(piece)
        if not is_blank:
            before = word
    if parts:
        yield "".join(parts).rstrip()


def _place(table: str) -> int:
    """Of a table, in the order in which writers lock."""
    return WRITERS_ORDER.index(table) if table in WRITERS_ORDER else len(WRITERS_ORDER)


def install(
    connection: psycopg.Connection[Any], attempts: Attempts, table_of_contents: Path
) -> None:
    """Installs what the database does not have as it is written; all of it or nothing.

    Raises DatabaseUnusable, with the file, where a statement fails, and where those whose locks it
    needs do not finish.
    """
    wanted = statements(table_of_contents)
    attempts.until_done(lambda: Installation(connection).run(wanted), "the installation of sql/")


class Installation:
    """One attempt, in one transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._budget_seconds, _ = limits(connection)
        self._deferred: list[Statement] = []
        self._deferred_views: list[str] = []

    def run(self, wanted: list[Statement]) -> None:
        """Raises DatabaseUnusable, one of NOT_GRANTED, or NotInTime; nothing is done then."""
        with self._connection.transaction():
            self._execute(f"set local lock_timeout = '{milliseconds(self._budget_seconds)}'")
            for statement in wanted:
                if not self._is_in_place(statement):
                    self._do_or_defer(statement)
            self._do_deferred()

    def _is_in_place(self, statement: Statement) -> bool:
        """Whether the database has it already; False also where there is no telling."""
        if match := VIEW.match(statement.words):
            return self._has_view(match["name"], statement)
        if match := FUNCTION.match(statement.words):
            return self._has_function(match["name"], statement)
        if match := TRIGGER.match(statement.words):
            return self._has_trigger(match, statement)
        if match := COMMENT.match(statement.text):
            there = self._first(COMMENT_AS_IT_IS, match.groupdict())
            return there == (match["text"].replace("''", "'"),)
        return False

    def _has_view(self, name: str, statement: Statement) -> bool:
        there = self._first(VIEW_AS_IT_IS, (name,))
        if there is None or self._stands_on_deferred(name):
            return False
        return there == self._twin(name, statement, VIEW_AS_IT_IS, (TWIN,))

    def _has_function(self, name: str, statement: Statement) -> bool:
        """Whether one of the functions of that name is as it is written."""
        (there,) = self._first(FUNCTIONS_AS_THEY_ARE, {"name": name}) or (None,)
        if there is None or self._stands_on_deferred(name):
            return False
        own, twins = name.split(".")[1], TWIN.split(".")[1]
        renamed = Statement(
            statement.file, re.sub(rf"(?<![\w.]){own}\.", f"{twins}.", statement.text)
        )
        twin = self._twin(name, renamed, FUNCTIONS_AS_THEY_ARE, {"name": TWIN})
        return twin is not None and twin[0][0] in there

    def _twin(
        self, name: str, statement: Statement, query: str, values: Any, before: str = ""
    ) -> tuple[Any, ...] | None:
        """What the query says of the statement's object with TWIN instead of this name, after
        another statement; None: it cannot be made, since something that it needs is not there
        yet."""
        found = None
        try:
            with self._connection.transaction() as compared:
                if before:
                    self._execute(before)
                # A body that is a string is not read: reading it would lock what it writes to.
                self._execute("set local check_function_bodies = off")
                self._execute(statement.text.replace(name, TWIN, 1))
                found = self._first(query, values)
                raise psycopg.Rollback(compared)
        except NOT_GRANTED:
            raise
        except psycopg.Error:
            return None
        return found

    def _has_trigger(self, match: re.Match[str], statement: Statement) -> bool:
        there = self._first(TRIGGER_AS_IT_IS, match.groupdict())
        if there is None:
            return False
        table = match["table"]
        return there == self._twin(
            table,
            statement,
            TRIGGER_AS_IT_IS,
            {"table": TWIN, "name": match["name"]},
            before=f"create table {TWIN} (like {table})",
        )

    def _do_or_defer(self, statement: Statement) -> None:
        view, function = VIEW.match(statement.words), FUNCTION.match(statement.words)
        replaces_a_view = view and self._first("select to_regclass(%s)", (view["name"],)) != (None,)
        if replaces_a_view and view:
            self._deferred_views.append(view["name"])
        if replaces_a_view or not LOCKS_NOBODY_OUT.match(statement.words):
            self._deferred.append(statement)
            return
        try:
            with self._connection.transaction():
                self._execute(statement.text)
        except NOT_GRANTED:
            raise
        except psycopg.Error:  # for good, or until what is deferred is there
            self._deferred.append(statement)
            return
        # A do block may read views that are yet to be replaced, so it runs again after them.
        reads_views = statement.words.startswith("do ") and self._deferred_views
        if reads_views or (function and self._stands_on_deferred(function["name"])):
            self._deferred.append(statement)

    def _stands_on_deferred(self, name: str) -> bool:
        """Whether a view or function reads a view that is yet to be replaced."""
        if not self._deferred_views:
            return False
        values = {"views": self._deferred_views, "name": name}
        return self._first(STANDS_ON, values) is not None

    def _do_deferred(self) -> None:
        """From its first lock to the commit others may wait."""
        deadline = time.monotonic() + self._budget_seconds
        triggers = [TRIGGER.match(statement.words) for statement in self._deferred]
        tables = {match["table"] for match in triggers if match}
        for table in sorted(tables, key=_place):
            self._do_by(deadline, f"lock table only {table} in share row exclusive mode", table)
        for statement in self._deferred:
            self._do_by(deadline, statement.text, str(statement.file))

    def _do_by(self, deadline: float, query: str, name: str) -> None:
        left = milliseconds(deadline - time.monotonic())
        try:
            self._execute(
                f"set local lock_timeout = '{left}';"
                f" set local statement_timeout = '{left}';"
                f" {query}"
            )
        except psycopg.errors.QueryCanceled:
            budget = milliseconds(self._budget_seconds)
            raise NotInTime(f"{name} was not done within {budget}") from None
        except NOT_GRANTED:
            raise
        except psycopg.Error as error:
            raise DatabaseUnusable(f"{name}: {str(error).strip()}") from None

    def _execute(self, query: str) -> None:
        self._connection.execute(query.encode())

    def _first(self, query: str, values: Any) -> tuple[Any, ...] | None:
        return self._connection.execute(query.encode(), values).fetchone()
