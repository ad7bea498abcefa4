"""What stands in two places is the same in both: in Python and the database, in comments and the
tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from notifier.config.models import Config, Retention
from notifier.notification_types import NOTIFICATION_TYPES, TEST_TYPE
from notifier.resources import ROOT, SQL
from sandbox.postgres import Postgres
from tests.conftest import TEMPLATE

SCRIPTS = {
    file.relative_to(SQL).as_posix(): file.read_text("utf-8")
    for file in SQL.rglob("*.sql")
    if file.name != "config_schema.sql"
}


def config_paths(script: str) -> Iterator[tuple[str, ...]]:
    """The paths that a script reads from a config, as in config -> 'notifier' ->> 'locale'."""
    for chain in re.findall(r"\bconfig((?:\s*->>?\s*'\w+')+)", script):
        yield tuple(re.findall(r"'(\w+)'", chain))
    for path in re.findall(r"\bconfig\s*#>>?\s*'\{([\w,]+)\}'", script):
        yield tuple(path.split(","))


def is_known(path: tuple[str, ...]) -> bool:
    model: Any = Config
    for key in path:
        if key not in model.model_fields:
            return False
        model = model.model_fields[key].annotation
    return True


def test_the_notification_types_are_those_of_the_database(cluster: Postgres) -> None:
    with psycopg.connect(cluster.conninfo(TEMPLATE)) as connection:
        row = connection.execute(
            "select array_remove("
            "enum_range(null::scooters_ops.monitoring_notification_type)::text[], %s)",
            [TEST_TYPE],
        ).fetchone()
    assert row == ([*NOTIFICATION_TYPES],)


@pytest.mark.parametrize("name", [name for name, text in SCRIPTS.items() if "config" in text])
def test_sql_reads_only_keys_that_a_config_has(name: str) -> None:
    assert [path for path in config_paths(SCRIPTS[name]) if not is_known(path)] == []


def test_the_search_finds_what_sql_reads_and_knows_it_from_a_misspelt_key() -> None:
    found = {path for script in SCRIPTS.values() for path in config_paths(script)}
    assert {"detection", "routes", "channels", "notifier"} <= {path[0] for path in found}
    assert is_known(("retention", "schedule"))
    assert not is_known(("retention", "schedules"))


def test_sql_reads_each_key_of_retention() -> None:
    quoted = {key for script in SCRIPTS.values() for key in re.findall(r"'(\w+)'", script)}
    assert {*Retention.model_fields} <= quoted


SOURCES = [
    file
    for folder in ("notifier", "sandbox", "sql", "deploy")
    for file in (ROOT / folder).rglob("*")
    if file.suffix in (".py", ".sql", ".sh", ".yml", ".service", ".j2")
]
NAMED_FILE = re.compile(
    r"(?<![\w/.])(?:notifier|sandbox|sql|docs|deploy|templates)/[\w/.-]+\.(?:py|sql|md|sh|yml|j2)\b"
)


def test_the_files_that_comments_and_messages_name_exist() -> None:
    named = {
        (source.relative_to(ROOT).as_posix(), name)
        for source in SOURCES
        for name in NAMED_FILE.findall(source.read_text("utf-8"))
    }
    assert ("sql/config/apply_config.sql", "notifier/config/models.py") in named
    assert [each for each in sorted(named) if not (ROOT / each[1]).is_file()] == []
