"""\\d+ is the reference manual: everything in the schema says what it is, and in which unit."""

from __future__ import annotations

import re

import pytest

from tests.conftest import TestDatabase

# yoyo-migrations' own tables.
OURS = "relnamespace = 'scooters_ops'::regnamespace and relname !~ '^_?yoyo_'"

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
    "their columns": f"""
        select
            format('%s.%s', relname, attname) as name,
            col_description(attrelid, attnum) as comment
        from pg_class
        join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
        where {OURS} and relkind in ('r', 'p', 'v', 'm', 'f')
    """,
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
    "indexes": f"""
        select
            index.relname::text as name,
            obj_description(index.oid, 'pg_class') as comment
        from pg_index
        join pg_class as index on index.oid = indexrelid
        join pg_class as indexed on indexed.oid = indrelid
        where {OURS.replace("rel", "indexed.rel")}
    """,
}


@pytest.mark.parametrize("kind", EVERYTHING)
def test_everything_has_a_comment(database: TestDatabase, kind: str) -> None:
    rows = database.rows(EVERYTHING[kind])
    assert rows
    assert [row["name"] for row in rows if not (row["comment"] or "").strip()] == []


def test_comments_are_sentences_of_one_line(database: TestDatabase) -> None:
    for query in EVERYTHING.values():
        for row in database.rows(query):
            assert re.fullmatch(r"\S[^\n]*[.)]", row["comment"]), row


def test_every_index_says_for_which_query_it_is(database: TestDatabase) -> None:
    for row in database.rows(EVERYTHING["indexes"]):
        assert row["comment"].startswith("For: "), row


def test_columns_say_their_unit(database: TestDatabase) -> None:
    """An interval, a count, a number without unit, the shape of JSON; of moments the comment says
    when."""
    says_unit = {
        "interval": r"\(interval[);]",
        "integer": r"\(a count\)|[Nn]umber|[Oo]rder",
        "bigint": r"\(a count\)|[Nn]umber|[Oo]rder",
        "numeric": r"\(a number without unit\)",
        "double precision": r"\(.*(seconds|number).*\)",
        "jsonb": r"JSON|config",
        "timestamp with time zone": r"[Ww]hen|[Ss]ince|moment|started_at \+",
        "timestamp with time zone[]": r"^When",
        "boolean": r"^Whether |: everything",
    }
    rows = database.rows(
        f"""
        select
            format('%s.%s', relname, attname) as name,
            format_type(atttypid, null) as type,
            col_description(attrelid, attnum) as comment
        from pg_class
        join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
        where {OURS} and relkind in ('r', 'p', 'v', 'm', 'f')
        """
    )
    assert {row["type"] for row in rows} - says_unit.keys() == {
        "text",
        "scooters_ops.monitoring_notification_type",
    }
    silent = [
        (row["name"], row["type"], row["comment"])
        for row in rows
        if row["type"] in says_unit
        and not row["name"].endswith("_id")
        and not re.search(says_unit[row["type"]], row["comment"])
    ]
    assert silent == []
