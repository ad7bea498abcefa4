"""make migrate: repeated, concurrent and interrupted, and on servers with unusual settings."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier.database.errors import DatabaseUnusable
from notifier.database.schema_version import known_migrations
from notifier.migrate import migrations
from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.conftest import PATIENCE_SECONDS, TEMPLATE, config
from tests.delivery_rigs import command, run_in_process

pytestmark = pytest.mark.slow

PASSWORD = "correct-horse-battery"
SECRETS = {"TELEGRAM_BOT_TOKEN": "1:a", "TRACKER_TOKEN": "b", "TRACKER_ORG_ID": "c"}
STAYS = "config 1 stays in force; make config changes it\n"
FIRST = (
    f"migrated: {', '.join(known_migrations())}; sql/ installed\n"
    f"{ROOT / 'config.json'}: in force as config 1\n"
)
AGAIN = "migrated: nothing to apply; sql/ installed\n" + STAYS


@dataclass(frozen=True)
class Scratch:
    """A database of one test."""

    cluster: Postgres
    name: str

    @property
    def environment(self) -> dict[str, str]:
        return self.cluster.environment(self.name)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.cluster.conninfo(self.name), autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def execute(self, query: str) -> None:
        with psycopg.connect(self.cluster.conninfo(self.name), autocommit=True) as connection:
            connection.execute(query)

    def contents(self) -> str:
        """The output of pg_dump without yoyo's log and lines that differ between dumps."""
        dump = subprocess.run(
            [
                self.cluster.programs / "pg_dump",
                "--exclude-table-data=scooters_ops._yoyo_log",
                "--exclude-table-data=scooters_ops.yoyo_lock",
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return "\n".join(line for line in dump.splitlines() if "restrict " not in line)


_numbers = count(1)


@contextmanager
def scratch(cluster: Postgres, template: str, options: str = "") -> Iterator[Scratch]:
    name = f"scratch_{next(_numbers)}"
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy {options}")
        yield Scratch(cluster, name)
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture
def empty(cluster: Postgres) -> Iterator[Scratch]:
    """A database before its first migration."""
    with scratch(cluster, "template0") as database:
        yield database


@pytest.fixture
def migrated(cluster: Postgres) -> Iterator[Scratch]:
    """A migrated database, with config.json in force."""
    with scratch(cluster, TEMPLATE) as database:
        yield database


@pytest.fixture
def other_version(tmp_path: Path) -> Path:
    """A copy of the project for a test to change."""
    copy = tmp_path / "other_version"
    for part in ("notifier", "sql", "migrations", "templates"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "config.json", copy)
    return copy


def notifier(
    *arguments: str, environment: Mapping[str, str], project: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """notifier ARGUMENTS. A copy of the project needs a process of its own."""
    if project is None:
        return run_in_process(arguments, environment)
    return subprocess.run(
        command(*arguments),
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def migrate(database: Scratch, project: Path | None = None) -> subprocess.CompletedProcess[str]:
    return notifier("migrate", environment=database.environment, project=project)


def test_migrating_twice_is_harmless(empty: Scratch) -> None:
    first = migrate(empty)
    assert (first.returncode, first.stdout, first.stderr) == (0, FIRST, "")
    contents = empty.contents()

    again = migrate(empty)
    assert (again.returncode, again.stdout, again.stderr) == (0, AGAIN, "")
    assert empty.contents() == contents


def test_migrating_from_three_shells_at_once_applies_each_migration_once(
    empty: Scratch,
) -> None:
    shells = [
        subprocess.Popen(
            command("migrate"),
            cwd=ROOT,
            env=empty.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = [shell.communicate(timeout=PATIENCE_SECONDS) for shell in shells]
    assert [shell.returncode for shell in shells] == [0, 0, 0]
    migrated = sorted(out.splitlines()[0] + "\n" for out, _ in outputs)
    assert migrated == [FIRST.splitlines(keepends=True)[0], *[AGAIN.removesuffix(STAYS)] * 2]
    assert all("config 1" in out.splitlines()[1] for out, _ in outputs)
    assert all(not err or "waits for its turn: pid" in err for _, err in outputs)
    assert empty.rows("select migration_id from scooters_ops._yoyo_migration") == [
        (name,) for name in known_migrations()
    ]


def test_a_lock_that_a_killed_migration_left_is_broken(migrated: Scratch) -> None:
    migrated.execute("insert into scooters_ops.yoyo_lock (locked, ctime, pid) values (1, now(), 1)")
    assert migrate(migrated).returncode == 0


def test_the_owner_of_a_database_can_migrate_it_without_being_a_superuser(
    cluster: Postgres, empty: Scratch
) -> None:
    empty.execute("create role dba_of_this_test login")
    try:
        empty.execute(f"alter database {empty.name} owner to dba_of_this_test")
        finished = notifier(
            "migrate",
            environment=empty.environment | {"PGUSER": "dba_of_this_test"},
        )
        assert (finished.returncode, finished.stdout, finished.stderr) == (0, FIRST, "")
    finally:
        empty.execute("drop schema if exists scooters_ops cascade")
        empty.execute("reassign owned by dba_of_this_test to current_user")
        empty.execute("drop owned by dba_of_this_test")
        empty.execute("drop role dba_of_this_test")


# --- The config in force ------------------------------------------------------------------------


def test_an_upgrade_leaves_the_config_in_force_as_it_is(migrated: Scratch, tmp_path: Path) -> None:
    in_force = json.dumps(config(notifier__poll_seconds=7))
    migrated.execute(f"select scooters_ops.apply_config('{in_force}')")
    other = tmp_path / "config.json"
    other.write_text(json.dumps(config(notifier__poll_seconds=8)))
    for arguments in ((), (str(other),)):
        finished = notifier("migrate", *arguments, environment=migrated.environment)
        assert (finished.returncode, finished.stderr) == (0, "")
        assert finished.stdout.endswith("\nconfig 2 stays in force; make config changes it\n")
    poll_seconds = "select config #>> '{notifier,poll_seconds}' from scooters_ops.config_in_force"
    assert migrated.rows(poll_seconds) == [("7",)]


def test_the_first_migrate_applies_the_config_that_it_is_given(
    empty: Scratch, tmp_path: Path
) -> None:
    first = tmp_path / "first.json"
    first.write_text(json.dumps(config(notifier__poll_seconds=8)))
    finished = notifier("migrate", str(first), environment=empty.environment)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.endswith(f"\n{first}: in force as config 1\n")
    poll_seconds = "select config #>> '{notifier,poll_seconds}' from scooters_ops.config_in_force"
    assert empty.rows(poll_seconds) == [("8",)]


# --- Other people's servers ---------------------------------------------------------------------

UNUSUAL = {
    "statement_timeout": "30ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "quote_all_identifiers": "on",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "search_path": "hostile, public",
    "client_encoding": "LATIN1",
    "client_min_messages": "debug1",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "row_security": "off",
}


def test_the_settings_of_a_database_do_not_change_the_result(
    empty: Scratch, cluster: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.execute("create schema hostile")
    settings = []
    for name, value in UNUSUAL.items():
        value = value if name == "search_path" else f"'{value}'"
        settings.append(f"alter database {empty.name} set {name} = {value}")
    empty.execute("; ".join(settings))
    monkeypatch.setenv("DATABASE_URL", cluster.conninfo(empty.name))
    assert migrations.migrate() == list(known_migrations())
    assert migrations.migrate() == []
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"alter database {empty.name} reset all")
    empty.execute("drop schema hostile")
    with scratch(cluster, "template0") as usual:
        monkeypatch.setenv("DATABASE_URL", cluster.conninfo(usual.name))
        migrations.migrate()
        # Rows of yoyo's tables hold times and user names, others the time of a migration.
        varying = r"(\t00\d\d_|\n\d\t20|\t20\d\d-\d\d-\d\d ).*"
        assert re.sub(varying, "", empty.contents()) == re.sub(varying, "", usual.contents())


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "MULE_INTERNAL"])
def test_an_encoding_that_cannot_be_converted_is_refused(cluster: Postgres, encoding: str) -> None:
    with scratch(cluster, "template0", f"encoding '{encoding}' locale 'C'") as database:
        refused = migrate(database)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr == (
            f"notifier: database '{database.name}' has the encoding {encoding}, which PostgreSQL"
            " cannot convert to UTF-8, so that names and messages would be garbled:"
            " create it with encoding 'UTF8' (template template0)\n"
        )
        with psycopg.connect(
            cluster.conninfo(database.name), client_encoding="SQL_ASCII"
        ) as connection:
            untouched = connection.execute("select to_regnamespace('scooters_ops') is null")
            assert untouched.fetchone() == (True,)


@pytest.mark.parametrize(("encoding", "name"), [("WIN1251", "Хорошо"), ("LATIN1", "Zoë")])
def test_a_database_with_a_single_byte_encoding_stores_the_letters_of_that_encoding(
    cluster: Postgres, monkeypatch: pytest.MonkeyPatch, encoding: str, name: str
) -> None:
    with scratch(cluster, "template0", f"encoding '{encoding}' locale 'C'") as database:
        monkeypatch.setenv("DATABASE_URL", cluster.conninfo(database.name))
        assert migrations.migrate() == list(known_migrations())
        assert migrations.migrate() == []
        with psycopg.connect(
            cluster.conninfo(database.name), autocommit=True, client_encoding="UTF8"
        ) as connection:
            mission = {
                "performer_id": name,
                "points": [{"point_id": "p1", "eta_seconds": 1, "jobs": []}],
            }
            for mission_id, as_ascii in (("m1", True), ("m2", False)):
                text = json.dumps(mission | {"mission_id": mission_id}, ensure_ascii=as_ascii)
                connection.execute("select scooters_ops.create_mission(%s)", (text,))
            found = connection.execute("select performer_id from scooters_ops.missions").fetchall()
            assert found == [(name,), (name,)]


# --- Upgrades -----------------------------------------------------------------------------------

ANALYSTS_VIEWS = """
    create schema analysts;
    create view analysts.timeouts_per_courier as
    select performer_id, count(*) from scooters_ops.mission_timeouts group by performer_id;
    create view analysts.everything as select * from scooters_ops.mission_intervals;
    create view analysts.yesterday as
    select mission_id, is_open from scooters_ops.mission_intervals_at(now() - interval '1 day');
    create materialized view analysts.deliveries as
    select * from scooters_ops.notification_deliveries;
    insert into scooters_ops.missions (mission_id, performer_id) values ('m1', 'c1');
    insert into scooters_ops.mission_points values ('m1', 'p1', 1, '10 minutes');
    insert into scooters_ops.missions_history (mission_id, type, occurred_at)
    values ('m1', 'mission_started', now() - interval '2 days')
"""


def assert_analysts_views_work(database: Scratch) -> None:
    assert database.rows("select mission_id from analysts.everything") == [("m1",)]
    assert database.rows("select * from analysts.yesterday") == [("m1", True)]
    assert database.rows("select * from analysts.deliveries") == []
    assert database.rows("select * from analysts.timeouts_per_courier") in ([], [("c1", 1)])


def test_an_analysts_own_views_survive_migrating_again(migrated: Scratch) -> None:
    migrated.execute(ANALYSTS_VIEWS)
    contents = migrated.contents()
    assert migrate(migrated).returncode == 0
    assert migrated.contents() == contents
    assert_analysts_views_work(migrated)


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path}: {old!r} occurs {text.count(old)} times"
    path.write_text(text.replace(old, new), "utf-8")


def test_an_analysts_own_views_survive_an_upgrade_that_adds_a_column_at_the_end(
    migrated: Scratch, other_version: Path
) -> None:
    migrated.execute(ANALYSTS_VIEWS)
    (other_version / "migrations/9000_seen_by.sql").write_text(
        "alter type scooters_ops.mission_interval add attribute seen_by text;\n"
    )
    sql = other_version / "sql"
    replace_in(
        sql / "intervals/mission_intervals_of.sql",
        "    span.rule\nfrom mission\n",
        "    span.rule,\n    'gps' as seen_by\nfrom mission\n",
    )
    replace_in(
        sql / "intervals/mission_intervals_at.sql",
        "    span.rule\nfrom",
        "    span.rule,\n    span.seen_by\nfrom",
    )
    for view in ("mission_intervals", "mission_timeouts"):
        replace_in(
            sql / f"intervals/{view}.sql",
            "    rule\nfrom",
            "    rule,\n    seen_by\nfrom",
        )

    finished = migrate(migrated, other_version)

    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == "migrated: 9000_seen_by; sql/ installed\n" + STAYS
    assert_analysts_views_work(migrated)
    assert migrated.rows("select seen_by from scooters_ops.mission_intervals") == [("gps",)]
    assert migrated.rows("select count(*) from scooters_ops.mission_intervals_at(now())") == [(1,)]


def test_a_database_that_a_newer_version_migrated_is_refused_and_unchanged(
    migrated: Scratch,
) -> None:
    migrated.execute(
        "insert into scooters_ops._yoyo_migration (migration_hash, migration_id, applied_at_utc)"
        " values ('hash', '9000_from_the_future', now());"
        " comment on view scooters_ops.mission_timeouts is 'A view of the future.'"
    )
    contents = migrated.contents()
    newer = "a newer version migrated it (9000_from_the_future)"

    refused = migrate(migrated)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"database '{migrated.name}': {newer}" in refused.stderr
    for arguments in (("status",), ("run", "--once"), ("config", "apply")):
        refused = notifier(*arguments, environment=migrated.environment | SECRETS)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert migrated.name in refused.stderr
        assert newer in refused.stderr
    assert migrated.contents() == contents


def test_a_database_that_lacks_a_migration_is_refused_by_the_notifier(
    migrated: Scratch, other_version: Path
) -> None:
    (other_version / "migrations/9000_new.sql").write_text("select 1;\n")
    refused = notifier("status", environment=migrated.environment, project=other_version)
    assert refused.returncode == 2
    assert "it lacks the migration 9000_new: make migrate" in refused.stderr


# --- What goes wrong ----------------------------------------------------------------------------


def test_a_broken_migration_is_rolled_back(migrated: Scratch, other_version: Path) -> None:
    migrations = other_version / "migrations"
    (migrations / "9000_good.sql").write_text("create table scooters_ops.good (id int);\n")
    (migrations / "9001_broken.sql").write_text(
        "create table scooters_ops.half (id int);\nselect 1 / 0;\n"
    )
    (migrations / "9002_unreached.sql").write_text("create table scooters_ops.later (id int);\n")

    refused = migrate(migrated, other_version)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "9001_broken" in refused.stderr
    assert "division by zero" in refused.stderr
    assert "Traceback" not in refused.stderr
    tables = (
        "select to_regclass('scooters_ops.' || name)::text"
        " from unnest(array['good', 'half', 'later']) as name"
    )
    assert migrated.rows(tables) == [("scooters_ops.good",), (None,), (None,)]
    assert migrated.rows("select max(migration_id) from scooters_ops._yoyo_migration") == [
        ("9000_good",)
    ]

    (migrations / "9001_broken.sql").write_text("create table scooters_ops.half (id int);\n")
    mended = migrate(migrated, other_version)
    assert mended.stdout == "migrated: 9001_broken, 9002_unreached; sql/ installed\n" + STAYS


def test_a_crash_before_a_migration_is_recorded_rolls_it_back(
    empty: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("gone")

    for name, value in empty.environment.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(migrations.Backend, "mark_one", crash)
        with pytest.raises(DatabaseUnusable, match="0001_tables failed: gone"):
            migrations.migrate()
    assert empty.rows("select to_regclass('scooters_ops.missions')::text") == [(None,)]
    assert migrations.migrate()[0] == "0001_tables"


def test_a_broken_file_in_sql_leaves_the_database_unchanged(
    migrated: Scratch, other_version: Path
) -> None:
    contents = migrated.contents()
    replace_in(
        other_version / "sql/intervals/mission_timeouts.sql",
        "'The intervals that are overdue ",
        "'Other intervals that are overdue:",
    )
    with (other_version / "sql/missions/skip_job.sql").open("a") as file:
        file.write("select nonsense;\n")

    refused = migrate(migrated, other_version)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "skip_job.sql" in refused.stderr
    assert "nonsense" in refused.stderr
    assert migrated.contents() == contents


def test_a_database_that_was_never_migrated_is_refused_by_the_notifier(
    empty: Scratch,
) -> None:
    contents = empty.contents()
    for arguments in (("status",), ("run", "--once"), ("config", "apply")):
        refused = notifier(*arguments, environment=empty.environment | SECRETS)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert empty.name in refused.stderr
        assert "make migrate" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert empty.contents() == contents


@pytest.mark.parametrize(
    "arguments",
    [
        ("--log-level", "debug", "migrate"),
        ("--log-level", "debug", "status"),
        ("--log-level", "debug", "config", "apply"),
    ],
)
def test_a_database_that_cannot_be_reached_is_named_without_its_password(
    cluster: Postgres, arguments: tuple[str, ...]
) -> None:
    for place in ("127.0.0.1:1/nowhere", f"127.0.0.1:{cluster.port}/nowhere"):
        refused = notifier(
            *arguments,
            environment=cluster.environment()
            | {"DATABASE_URL": f"postgresql://postgres:{PASSWORD}@{place}"},
        )
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "127.0.0.1" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert PASSWORD not in refused.stderr


def test_an_unreadable_database_url_is_refused_without_its_password(cluster: Postgres) -> None:
    for url in (f"postgresql://postgres:{PASSWORD}@[oops", f"password={PASSWORD} nonsense"):
        for arguments in (["migrate"], ["status"]):
            refused = notifier(
                *arguments, environment=cluster.environment() | {"DATABASE_URL": url}
            )
            assert (refused.returncode, refused.stdout) == (2, "")
            assert refused.stderr
            assert "Traceback" not in refused.stderr
            assert PASSWORD not in refused.stderr


def test_migrating_starts_no_other_program(empty: Scratch, tmp_path: Path) -> None:
    """So that no argument shows a password to the machine's other users, and psql may be absent."""
    finished = notifier(
        "migrate", environment=empty.environment | {"PATH": str(tmp_path)}, project=ROOT
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, FIRST, "")


@pytest.mark.parametrize(
    ("folder", "others"), [("sql", {"cron", "maintenance", "sharding"}), ("sql/sharding", set())]
)
def test_install_sql_lists_every_file_once(folder: str, others: set[str]) -> None:
    install = ROOT / folder / "install.sql"
    named = re.findall(r"^\\ir (\S+)$", install.read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(
        str(file.relative_to(ROOT / folder))
        for file in (ROOT / folder).rglob("*.sql")
        if file.parent.name not in others and file.name not in ("install.sql", "definitions.sql")
    )
