"""\\d+ is the reference manual: everything in the schema has a comment, with a unit where one is
needed."""

from __future__ import annotations

import re

import pytest

from tests.conftest import TestDatabase

# yoyo-migrations has tables of its own in our schema.
OURS = "relnamespace = 'scooters_ops'::regnamespace and relname !~ '^_?yoyo_'"

COLUMNS = f"""
    select
        format('%s.%s', relname, attname) as name,
        format_type(atttypid, null) as type,
        col_description(attrelid, attnum) as comment
    from pg_class
    join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
    where {OURS} and relkind in ('r', 'p', 'v', 'm', 'f')
"""

EVERYTHING = {
    "the schema": """
        select nspname::text as name, obj_description(oid, 'pg_namespace') as comment
        from pg_namespace
        where nspname = 'scooters_ops'
    """,
    "tables and views": f"""
        select relname::text as name, obj_description(oid, 'pg_class') as comment
        from pg_class
        where {OURS} and relkind in ('r', 'p', 'v', 'm', 'f')
    """,
    "columns": COLUMNS,
    "functions and procedures": """
        select oid::regprocedure::text as name, obj_description(oid, 'pg_proc') as comment
        from pg_proc
        where pronamespace = 'scooters_ops'::regnamespace
    """,
    "types": """
        select typname::text as name, obj_description(pg_type.oid, 'pg_type') as comment
        from pg_type
        left join pg_class on pg_class.oid = typrelid
        where
            typnamespace = 'scooters_ops'::regnamespace
            and typcategory <> 'A'
            and coalesce(relkind, 'c') = 'c'
    """,
}

UNITS = {
    "interval": "interval",
    "integer": "count|number|order",
    "bigint": "count|number|order",
    "numeric": "number without unit",
    "double precision": "seconds|number",
    "jsonb": "JSON|config",
}
"""What the comment of a column of a type must mention."""


@pytest.mark.parametrize("kind", EVERYTHING)
def test_everything_has_a_comment(database: TestDatabase, kind: str) -> None:
    rows = database.rows(EVERYTHING[kind])
    assert rows
    assert [row["name"] for row in rows if not (row["comment"] or "").strip()] == []


def test_comments_say_what_is_live_and_what_is_as_judged(database: TestDatabase) -> None:
    comments = {
        row["name"]: row["comment"] for row in database.rows(EVERYTHING["tables and views"])
    }
    for view in ("mission_intervals", "mission_timeouts"):
        assert {"config in force", "interval_history"} <= set(
            re.findall("config in force|interval_history", comments[view])
        )
    assert "judged" in comments["interval_history"]
    columns = {row["name"]: row["comment"] for row in database.rows(COLUMNS)}
    for column in ("eta", "factor", "time_limit", "deadline", "is_overdue", "rule"):
        assert "judged" in columns[f"interval_history.{column}"]


def test_the_comment_of_a_column_states_its_unit(database: TestDatabase) -> None:
    without_unit = [
        row
        for row in database.rows(COLUMNS)
        if not row["name"].endswith("_id")
        and not re.search(UNITS.get(row["type"], ""), row["comment"], re.IGNORECASE)
    ]
    assert without_unit == []
