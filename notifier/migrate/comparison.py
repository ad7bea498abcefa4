"""Does the database already have an object exactly as sql/ defines it?

PostgreSQL stores a definition in its own words, so texts cannot be compared. Instead the object is
created a second time under another name (TWIN), PostgreSQL's words for both are compared, and the
twin is rolled back.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg

from notifier.migrate.locks import NOT_GRANTED
from notifier.migrate.statements import COMMENT, FUNCTION, TRIGGER, VIEW, Statement

TWIN = "scooters_ops.make_migrate_compares"
"""The name of a view's or function's twin, and of the table that a trigger's twin is created on."""

VIEW_DEFINITION = """
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

# The function's own name is left out. A body may use it to qualify a parameter.
FUNCTION_DEFINITIONS = r"""
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

# Without its table's name. A trigger that fires always fires on a subscriber too: 'A' is kept.
TRIGGER_DEFINITION = """
    select replace(pg_get_triggerdef(oid), ' ON ' || %(table)s || ' ', ' ON ')
    from pg_trigger
    where
        tgrelid = to_regclass(%(table)s)
        and tgname = %(name)s
        and not tgisinternal
        and tgenabled in ('O', 'A')
"""

COMMENT_TEXT = """
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


class Comparison:
    """Compares statements of sql/ with what the database has, within the caller's transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def has(self, statement: Statement) -> bool:
        """Whether executing the statement would change nothing; False if that cannot be told."""
        if match := VIEW.match(statement.words):
            return self._has_view(match["name"], statement)
        if match := FUNCTION.match(statement.words):
            return self._has_function(match["name"], statement)
        if match := TRIGGER.match(statement.words):
            return self._has_trigger(match, statement)
        if match := COMMENT.match(statement.text):
            stored = self._first(COMMENT_TEXT, match.groupdict())
            return stored == (match["text"].replace("''", "'"),)
        return False

    def _has_view(self, name: str, statement: Statement) -> bool:
        stored = self._first(VIEW_DEFINITION, (name,))
        return stored is not None and stored == self._twin(
            name, statement.text, VIEW_DEFINITION, (TWIN,)
        )

    def _has_function(self, name: str, statement: Statement) -> bool:
        """Whether one of the functions of this name has this definition."""
        (stored,) = self._first(FUNCTION_DEFINITIONS, {"name": name}) or (None,)
        if stored is None:
            return False
        own, twins = name.split(".")[1], TWIN.split(".")[1]
        renamed = re.sub(rf"(?<![\w.]){own}\.", f"{twins}.", statement.text)
        twin = self._twin(name, renamed, FUNCTION_DEFINITIONS, {"name": TWIN})
        return twin is not None and twin[0][0] in stored

    def _has_trigger(self, match: re.Match[str], statement: Statement) -> bool:
        stored = self._first(TRIGGER_DEFINITION, match.groupdict())
        table = match["table"]
        return stored is not None and stored == self._twin(
            table,
            statement.text,
            TRIGGER_DEFINITION,
            {"table": TWIN, "name": match["name"]},
            before=f"create table {TWIN} (like {table})",
        )

    def _twin(
        self, name: str, text: str, definition: str, values: Any, before: str = ""
    ) -> tuple[Any, ...] | None:
        """The definition of the object that `text` creates if `name` in it is replaced by TWIN.

        `before` is executed first. None if the twin cannot be created, for example because
        something that it needs does not exist yet.
        """
        found = None
        try:
            with self._connection.transaction() as compared:
                if before:
                    self._connection.execute(before.encode())
                # Checking a body would lock the tables that it writes to.
                self._connection.execute("set local check_function_bodies = off")
                self._connection.execute(text.replace(name, TWIN, 1).encode())
                found = self._first(definition, values)
                raise psycopg.Rollback(compared)
        except NOT_GRANTED:
            raise
        except psycopg.Error:
            return None
        return found

    def _first(self, query: str, values: Any) -> tuple[Any, ...] | None:
        return self._connection.execute(query.encode(), values).fetchone()
