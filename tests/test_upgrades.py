"""Upgrades while everyone keeps working: nobody waits long, no session ends, nothing is lost."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier.database.errors import DatabaseUnusable
from notifier.database.schema_version import known_migrations
from notifier.migrate import locks, migrations
from notifier.migrate.installation import Installation
from notifier.migrate.statements import LOCKS_NOBODY_OUT, TRIGGER, Statement, split, statements
from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, until
from tests.upgrade_rigs import (
    Traffic,
    before_matches,
    deliver,
    fill,
    migrate_to,
    new_database,
    slow_writer,
)

pytestmark = pytest.mark.slow

SILENT: Callable[[str], None] = lambda _: None  # noqa: E731


@pytest.fixture
def ours(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> TestDatabase:
    """A migrated database, which migrate() upgrades."""
    monkeypatch.setenv("DATABASE_URL", database.conninfo)
    return database


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of sql/ for a test to change, which migrate() installs."""
    sql = tmp_path / "sql"
    shutil.copytree(ROOT / "sql", sql)
    monkeypatch.setattr(migrations, "INSTALL", sql / "install.sql")
    return sql


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def change_view(sql: Path, name: str) -> None:
    """Appends a column to a view."""
    (file,) = sql.rglob(f"{name}.sql")
    text = file.read_text("utf-8")
    head, body = text.split(" as\n", 1)
    body, rest = body.split(";", 1)
    file.write_text(
        f"{head} as\nselect changed.*, true as is_changed from ({body}) as changed;{rest}"
    )


def is_changed(database: TestDatabase, view: str) -> bool:
    return bool(
        database.value(
            "select exists (select from pg_attribute"
            " where attrelid = %s::regclass and attname = 'is_changed')",
            f"scooters_ops.{view}",
        )
    )


def schema_of(database: TestDatabase) -> str:
    """The output of pg_dump without rows."""
    dump = subprocess.run(
        [database.cluster.programs / "pg_dump", "--schema-only"],
        env=database.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return "\n".join(line for line in dump.splitlines() if "restrict " not in line)


# --- Unchanged objects ----------------------------------------------------------------------------


def test_a_second_migrate_locks_nobody_out(
    ours: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exclusive lock admits only readers. Indexes cannot be locked explicitly."""
    locked: list[Any] = []
    executed: list[str] = []
    do_deferred, do_or_defer = Installation._execute_deferred, Installation._execute_or_defer

    def spy(self: Installation) -> None:
        do_deferred(self)
        locked.extend(
            self._connection.execute(
                "select relation::regclass::text, mode from pg_locks"
                " inner join pg_class on pg_class.oid = relation"
                " where pid = pg_backend_pid() and mode <> 'AccessShareLock'"
                " and relnamespace = 'scooters_ops'::regnamespace"
            ).fetchall()
        )

    def note(self: Installation, statement: Statement) -> None:
        executed.append(statement.words)
        do_or_defer(self, statement)

    monkeypatch.setattr(Installation, "_execute_deferred", spy)
    monkeypatch.setattr(Installation, "_execute_or_defer", note)
    relations = ours.values(
        "select oid::regclass::text from pg_class"
        " where relnamespace = 'scooters_ops'::regnamespace and relkind in ('r', 'v', 'p')"
        " and relname <> 'migrate_turn'"  # make migrate itself locks it
    )
    with psycopg.connect(ours.conninfo) as holder:
        holder.execute(f"lock table {', '.join(relations)} in exclusive mode")
        assert migrations.migrate(patience_seconds=0) == []
    assert locked == []
    cheap = r"comment on (type|function|procedure) |grant |revoke |do "
    assert [words for words in executed if not re.match(cheap, words)] == []


def test_objects_that_somebody_changed_or_dropped_are_restored(ours: TestDatabase) -> None:
    before = schema_of(ours)
    ours.connection.execute(
        """
        drop view scooters_ops.mission_timeouts cascade;
        alter view scooters_ops.notifications set (security_barrier);
        drop trigger wake_for_inserted_history on scooters_ops.missions_history;
        alter table scooters_ops.missions disable trigger wake_for_updated_missions;
        create or replace trigger wake_notifiers
        before insert on scooters_ops.monitoring_notifications
        for each statement execute function scooters_ops.wake_notifiers();
        drop function scooters_ops.skip_job(text, text, text);
        alter function scooters_ops.prune_bookkeeping() reset search_path;
        comment on column scooters_ops.missions.status is 'Another comment.';
        comment on index scooters_ops.missions_pkey is null;
        comment on view scooters_ops.notifications is null;
        create or replace function scooters_ops.applied_migrations() returns setof text
        language sql stable security definer set search_path = pg_catalog, pg_temp
        as 'select migration_id from scooters_ops._yoyo_migration';
        revoke select on scooters_ops.notifications from scooters_ops_analyst;
        revoke usage on schema scooters_ops from scooters_ops_analyst;
        grant execute on function scooters_ops.record_event(text, text, text, timestamptz)
        to public
        """
    )
    assert schema_of(ours) != before
    assert migrations.migrate() == []
    assert sorted(schema_of(ours).splitlines()) == sorted(before.splitlines())


def test_a_trigger_that_was_set_to_fire_always_stays_so(ours: TestDatabase) -> None:
    """A subscriber of logical replication needs it."""
    ours.connection.execute(
        "alter table scooters_ops.missions_history enable always trigger wake_for_inserted_history"
    )
    before = schema_of(ours)
    migrations.migrate()
    assert schema_of(ours) == before


def test_psql_installs_the_same(ours: TestDatabase) -> None:
    before = schema_of(ours)
    subprocess.run(
        ["psql", "-X", "-q", "-1", "-f", ROOT / "sql" / "install.sql"],
        env=ours.environment,
        check=True,
    )
    assert schema_of(ours) == before


def test_a_view_that_selects_all_columns_gains_the_column_that_its_source_gains(
    ours: TestDatabase, next_version: Path
) -> None:
    """Neither its own text nor the texts of the views in between change."""
    files = {
        "first": "select mission_id from scooters_ops.missions",
        "second": "select * from scooters_ops.first",
        "third": "select * from scooters_ops.second",
    }
    for name, query in files.items():
        (next_version / f"intervals/{name}.sql").write_text(
            f"create or replace view scooters_ops.{name} as {query};\n"
        )
    (next_version / "intervals/fourth.sql").write_text(
        "create or replace function scooters_ops.fourth() returns setof text\n"
        "begin atomic\n"
        "    select case when mission_id = 'm' then ';' else to_jsonb(third.*)::text end\n"
        "    from scooters_ops.third;\n"
        "end;\n"
    )
    with (next_version / "install.sql").open("a") as contents:
        contents.write(
            "\\ir intervals/first.sql\n\\ir intervals/second.sql\n\\ir intervals/third.sql\n"
        )
        contents.write("\\ir intervals/fourth.sql\n")
    ours.create_mission()
    migrations.migrate()
    assert ours.values("select scooters_ops.fourth()") == ['{"mission_id": "m1"}']

    edit(next_version / "intervals/first.sql", "mission_id", "mission_id, performer_id")
    migrations.migrate()

    assert ours.rows("select * from scooters_ops.third") == [
        {"mission_id": "m1", "performer_id": "c1"}
    ]
    assert ours.values("select scooters_ops.fourth()") == [
        '{"mission_id": "m1", "performer_id": "c1"}'
    ]


def test_a_function_that_reads_a_new_column_is_created_after_the_view_gains_it(
    ours: TestDatabase, next_version: Path
) -> None:
    change_view(next_version, "mission_timeouts")
    (next_version / "intervals/late.sql").write_text(
        "create or replace function scooters_ops.late() returns setof boolean\n"
        "begin atomic\n"
        "    select is_changed from scooters_ops.mission_timeouts;\n"
        "end;\n"
        "comment on function scooters_ops.late() is 'Late.';\n"
    )
    with (next_version / "install.sql").open("a") as contents:
        contents.write("\\ir intervals/late.sql\n")
    migrations.migrate()
    assert ours.value("select obj_description('scooters_ops.late()'::regprocedure)") == "Late."


def test_views_inherit_their_comments_when_they_gain_a_column(
    ours: TestDatabase, next_version: Path
) -> None:
    """The do block that copies comments runs again after the views were replaced."""
    change_view(next_version, "mission_intervals")
    change_view(next_version, "mission_timeouts")
    with (next_version / "intervals/mission_timeouts.sql").open("a") as file:
        file.write("comment on column scooters_ops.mission_intervals.is_changed is 'New.';\n")
    migrations.migrate()
    assert (
        ours.value(
            "select col_description(attrelid, attnum) from pg_attribute"
            " where attrelid = 'scooters_ops.mission_timeouts'::regclass and attname = 'is_changed'"
        )
        == "New."
    )


EARLIER_VIEWS = """
create or replace view scooters_ops.mission_routes as
select mission_id, point_id, position, eta, eta as route_eta from scooters_ops.mission_points;
create or replace view scooters_ops.timeout_rules as
select
    type::scooters_ops.monitoring_notification_type as type,
    true as is_enabled,
    1.5 as factor,
    interval '0' as minimum,
    1.5::double precision as ratio
from unnest(array['timeout_in_point', 'timeout_between_points']) as type;
create view scooters_ops.job_type_etas as select 'pickup' as type, interval '1 minute' as eta;
create function scooters_ops.prune() returns void language sql as '';
"""

LEFT_OVER = """
select array_remove(array[
    to_regclass('scooters_ops.mission_routes_before_0014')::text,
    to_regclass('scooters_ops.timeout_rules_before_0014')::text,
    to_regclass('scooters_ops.job_type_etas')::text,
    to_regprocedure('scooters_ops.prune()')::text
], null)
"""


def test_who_could_apply_a_config_still_can_and_as_an_earlier_version_does(
    ours: TestDatabase,
) -> None:
    """Its function has one argument, which another one with defaults must not make ambiguous."""
    before = schema_of(ours)
    ours.connection.execute(
        """
        drop function scooters_ops.apply_config(jsonb, text, bigint);
        create function scooters_ops.apply_config(config jsonb) returns bigint
        language sql as 'select -1::bigint';
        grant execute on function scooters_ops.apply_config(jsonb) to scooters_ops_operator
        """
    )
    migrations.migrate()
    apply = "scooters_ops.apply_config(jsonb, text, bigint)"
    assert ours.value(
        f"select has_function_privilege('scooters_ops_operator', '{apply}', 'execute')"
    )
    assert ours.apply_config(detection__batch_size=7) > 0
    ours.connection.execute(f"revoke execute on function {apply} from scooters_ops_operator")
    assert schema_of(ours) == before


def test_a_function_that_returned_nothing_gains_a_result(ours: TestDatabase) -> None:
    before = schema_of(ours)
    ours.connection.execute(
        """
        drop function scooters_ops.take_wakeups(text[], timestamptz);
        create function scooters_ops.take_wakeups(mission_ids text[], as_of timestamptz)
        returns void language sql as 'select'
        """
    )
    migrations.migrate()
    assert schema_of(ours) == before


def test_what_a_version_retires_keeps_working_and_is_dropped_later(ours: TestDatabase) -> None:
    """A view of an analyst's own keeps the view that it reads."""
    before = schema_of(ours)
    ours.connection.execute(EARLIER_VIEWS)
    ours.connection.execute("create view public.own as select * from scooters_ops.mission_routes")
    ours.create_mission()
    ours.record("mission_started", 0)
    intervals = "select point_id, time_limit from scooters_ops.mission_intervals"
    (interval,) = ours.rows(intervals)
    (migration,) = (ROOT / "migrations").glob("0014_*.sql")

    ours.connection.execute(migration.read_text("utf-8").encode())
    assert ours.rows(intervals) == [interval]
    for applied in ("now()", "now() - interval '2 h'"):
        ours.connection.execute(
            "update scooters_ops._yoyo_migration"
            f" set applied_at_utc = ({applied}) at time zone 'UTC'".encode()
        )
        migrations.migrate()
        assert ours.rows(intervals) == [interval]
        assert len(ours.values("select eta from public.own")) == 3
        if applied == "now()":
            assert len(ours.value(LEFT_OVER)) == 4

    assert ours.value(LEFT_OVER) == ["scooters_ops.mission_routes_before_0014"]
    ours.connection.execute("drop view public.own")
    migrations.migrate()
    assert sorted(schema_of(ours).splitlines()) == sorted(before.splitlines())


def test_a_view_that_replaces_a_retired_one_keeps_its_readers(ours: TestDatabase) -> None:
    ours.connection.execute(EARLIER_VIEWS)
    ours.connection.execute(
        "grant select on scooters_ops.mission_routes to public;"
        "grant select on scooters_ops.timeout_rules to scooters_ops_writer with grant option"
    )
    (migration,) = (ROOT / "migrations").glob("0014_*.sql")
    ours.connection.execute(migration.read_text("utf-8").encode())
    migrations.migrate()
    assert ours.rows(
        "select relname, grantee::regrole::text, is_grantable"
        " from pg_class cross join aclexplode(relacl)"
        " where relname in ('mission_routes', 'timeout_rules') and grantee <> relowner"
        " order by 1, 2"
    ) == [
        {"relname": view, "grantee": grantee, "is_grantable": is_grantable}
        for view, grantee, is_grantable in (
            ("mission_routes", "-", False),
            ("mission_routes", "scooters_ops_analyst", False),
            ("timeout_rules", "scooters_ops_analyst", False),
            ("timeout_rules", "scooters_ops_writer", True),
        )
    ]


def test_a_session_that_reads_a_retired_view_does_not_hold_up_an_installation(
    ours: TestDatabase,
) -> None:
    ours.connection.execute(EARLIER_VIEWS)
    ours.connection.execute("create view public.own as select * from scooters_ops.mission_routes")
    (migration,) = (ROOT / "migrations").glob("0014_*.sql")
    ours.connection.execute(migration.read_text("utf-8").encode())
    ours.connection.execute(
        "update scooters_ops._yoyo_migration set applied_at_utc = applied_at_utc - interval '2 h'"
    )
    reported: list[str] = []
    with psycopg.connect(ours.conninfo) as analyst:
        analyst.execute("select from public.own")
        analyst.execute("select from scooters_ops.job_type_etas")
        migrations.migrate(say=reported.append)
        assert ours.value(LEFT_OVER) == [
            "scooters_ops.mission_routes_before_0014",
            "scooters_ops.job_type_etas",
        ]
    migrations.migrate(say=reported.append)
    assert ours.value(LEFT_OVER) == ["scooters_ops.mission_routes_before_0014"]
    assert reported == []


def test_passes_and_pruning_go_on_while_what_has_changed_is_looked_for(
    ours: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new comment on detection_lock locks that table until the installation commits."""
    ours.connection.execute(
        "comment on table scooters_ops.detection_lock is 'earlier';"
        "comment on column scooters_ops.detection_lock.note is 'earlier'"
    )
    comment = "select obj_description('scooters_ops.detection_lock'::regclass)"
    execute_by = Installation._execute_by
    last: list[str] = []

    def checked(self: Installation, deadline: float, query: str, name: str) -> None:
        if not query.startswith("comment on"):
            assert not ours.rows(
                "select from pg_locks where relation = 'scooters_ops.detection_lock'::regclass"
            )
        last.append(query)
        execute_by(self, deadline, query, name)

    monkeypatch.setattr(Installation, "_execute_by", checked)
    migrations.migrate()
    assert [query.split(" is")[0] for query in last[-2:]] == [
        "comment on table scooters_ops.detection_lock",
        "comment on column scooters_ops.detection_lock.note",
    ]
    assert ours.value(comment) != "earlier"


SCRIPT = """
-- A comment; with a semicolon.
select ';', E'\\';', "a;b" from a; /* and; another */
create function f() returns text begin atomic
    select case when true then 'end;' end; select 2;
end;
do $do$ begin perform ';'; end $do$;
create function g() language sql as $$ select 1; $$;
begin; end
"""


def test_a_script_is_split_where_its_statements_end() -> None:
    assert [" ".join(statement.split()) for statement in split(SCRIPT)] == [
        "select ';', E'\\';', \"a;b\" from a",
        "create function f() returns text begin atomic select case when true then 'end;' end;"
        " select 2; end",
        "do $do$ begin perform ';'; end $do$",
        "create function g() language sql as $$ select 1; $$",
        "begin",
        "end",
    ]


def test_every_statement_of_sql_locks_nobody_out_or_is_skipped_if_nothing_changed() -> None:
    """Any other statement would take its locks at every make migrate."""
    for statement in statements(ROOT / "sql/install.sql"):
        words = statement.words
        locks_only_to_change = words.startswith("do $$ begin if not exists")
        assert LOCKS_NOBODY_OUT.match(words) or TRIGGER.match(words) or locks_only_to_change, words


# --- Strong locks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("in_between", ["view", "trigger", "migration"])
def test_a_session_that_keeps_a_lock_is_named_and_nothing_changes(
    ours: TestDatabase,
    next_version: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    in_between: str,
) -> None:
    change_view(next_version, "mission_timeouts")
    edit(
        next_version / "detection/wake_for_plan.sql",
        "after delete on scooters_ops.mission_jobs\nreferencing old table as old_rows\n",
        "after delete on scooters_ops.mission_jobs\nreferencing old table as old_rows\n\n",
    )
    query = {
        "view": "select from scooters_ops.mission_timeouts",
        "trigger": "update scooters_ops.mission_jobs set status = 'skipped'",
        "migration": "select from scooters_ops.missions",
    }[in_between]
    if in_between == "trigger":
        edit(
            next_version / "detection/wake_for_plan.sql",
            "create or replace trigger wake_for_updated_jobs\nafter update",
            "create or replace trigger wake_for_updated_jobs\nafter update of status",
        )
        edit(
            next_version / "detection/wake_for_plan.sql",
            "after update of status on scooters_ops.mission_jobs\n"
            "referencing old table as old_rows new table as new_rows",
            "after update of status on scooters_ops.mission_jobs",
        )
    if in_between == "migration":
        shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
        (tmp_path / "migrations/9000_more.sql").write_text(
            "create table scooters_ops.half (id int);\n"
            "alter table scooters_ops.missions add column more int;\n"
        )
        monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path / "migrations")
        monkeypatch.setattr(
            migrations, "known_migrations", lambda: [*known_migrations(), "9000_more"]
        )
    ours.create_mission()
    before = schema_of(ours)
    said: list[str] = []
    with psycopg.connect(
        ours.conninfo, autocommit=True, application_name="ann's notebook"
    ) as analyst:
        analyst.execute("begin")
        analyst.execute(query)
        with pytest.raises(DatabaseUnusable) as refused:
            migrations.migrate(patience_seconds=1, say=said.append)
        message = str(refused.value)
        assert f"pid {analyst.info.backend_pid} (user postgres, ann's notebook," in message
        assert re.search(r"idle in transaction since 20\d\d-\d\d-\d\d \d\d:", message)
        assert re.search(r"holds \w+Lock on scooters_ops\.mission\w+", message)
        assert "changed nothing" in message
        assert len(said) == 1
        assert "ann's notebook" in said[0]
        assert schema_of(ours) == before
        analyst.execute("commit")
    migrations.migrate()
    assert is_changed(ours, "mission_timeouts")


def test_autovacuum_gives_way_and_nobody_waits_meanwhile(
    ours: TestDatabase, next_version: Path
) -> None:
    edit(
        next_version / "detection/wake_for_plan.sql",
        "for each statement execute",
        "for each statement when (true) execute",
    )
    ours.connection.execute(
        "insert into scooters_ops.missions (mission_id, performer_id)"
        " select format('m%s', number), 'c1' from generate_series(1, 3000) as number;"
        " delete from scooters_ops.missions;"
        " alter table scooters_ops.missions set (autovacuum_vacuum_threshold = 0,"
        " autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_cost_delay = 100)"
    )
    ours.connection.execute("alter system set autovacuum_naptime = 1")
    ours.connection.execute("select pg_reload_conf()")
    try:
        until(
            lambda: ours.values(
                "select pid from pg_stat_activity"
                " where query like 'autovacuum: VACUUM%scooters_ops.missions%'"
                " and datname = current_database()"
            )
        )
    finally:  # its next run is a minute away
        ours.connection.execute("alter system reset autovacuum_naptime")
        ours.connection.execute("select pg_reload_conf()")
    with ours.connect() as writer:
        writer.execute("set lock_timeout = '500ms'")
        said: list[str] = []

        def write(waits: str) -> None:
            said.append(waits)
            writer.execute(
                "insert into scooters_ops.missions (mission_id, performer_id) values ('w', 'c')"
            )

        assert migrations.migrate(say=write) == []
    assert re.search(r"\(autovacuum worker, .*\) holds .* on scooters_ops\.missions", said[0])


def test_the_session_that_holds_the_turn_is_named(ours: TestDatabase) -> None:
    said: list[str] = []
    with psycopg.connect(ours.conninfo, autocommit=True, application_name="other") as holder:
        holder.execute("begin; lock table scooters_ops.migrate_turn in exclusive mode")
        with pytest.raises(DatabaseUnusable, match="never got its turn") as refused:
            migrations.migrate(patience_seconds=0.5, say=said.append)
        named = f"pid {holder.info.backend_pid} (user postgres, other, idle in transaction since"
        assert named in str(refused.value)
        assert [named in line for line in said] == [True]
    migrations.migrate()


def test_a_change_that_takes_too_long_is_given_up(ours: TestDatabase, next_version: Path) -> None:
    change_view(next_version, "mission_timeouts")
    with (next_version / "intervals/mission_timeouts.sql").open("a") as file:
        file.write("select pg_sleep(600);\n")
    before = schema_of(ours)
    with pytest.raises(DatabaseUnusable, match=r"mission_timeouts\.sql took longer than 400ms"):
        migrations.migrate(patience_seconds=0.5, say=SILENT)
    assert schema_of(ours) == before


def test_an_attempt_ends_before_the_server_looks_for_deadlocks(ours: TestDatabase) -> None:
    assert locks.limits(ours.connection) == (0.4, 0.1)
    ours.connection.execute("set deadlock_timeout = '40ms'")
    assert locks.limits(ours.connection) == (0.02, 0.01)
    assert locks.milliseconds(0) == "1ms"


def test_no_strong_lock_is_held_before_the_time_limit_starts(
    cluster: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Passes and analysts use the type of an interval, to which an upgrade adds attributes."""
    locked: list[str] = []
    do_deferred = Installation._execute_deferred

    def spy(self: Installation) -> None:
        rows = self._connection.execute(
            "select relation::regclass::text from pg_locks"
            " where pid = pg_backend_pid() and mode = 'AccessExclusiveLock' and relation <> 0"
        ).fetchall()
        locked.extend(name for (name,) in rows)
        do_deferred(self)

    with new_database(cluster) as database:
        migrate_to(database, known_migrations()[-2], monkeypatch, tmp_path)
        monkeypatch.setenv("DATABASE_URL", database.conninfo)
        before = set(database.values("select oid::regclass::text from pg_class"))
        monkeypatch.setattr(Installation, "_execute_deferred", spy)
        migrations.migrate()
    assert locked
    assert before.intersection(locked) == set()


# --- While everyone keeps working -----------------------------------------------------------------


def assert_everything_due_arrives(database: TestDatabase, traffic: Traffic) -> None:
    database.value("select scooters_ops.detect_timeouts()")
    while deliver(database.connection):
        pass
    tokens = set(database.values("select idempotency_token from scooters_ops.notifications"))
    missions = database.values("select mission_id from scooters_ops.missions")
    assert set(traffic.written) <= set(missions)
    assert tokens >= {f"{mission_id}_p1__timeout_between_points" for mission_id in missions}
    assert database.values("select distinct state from scooters_ops.notification_deliveries") == [
        "sent"
    ]
    assert database.value("select every(completed) from scooters_ops.notifications")


@pytest.mark.parametrize("last", known_migrations()[:-1])
def test_an_upgrade_from_any_earlier_version_makes_nobody_wait_and_loses_nothing(
    cluster: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last: str
) -> None:
    with new_database(cluster) as database:
        migrate_to(database, last, monkeypatch, tmp_path)
        config = fill(database, cluster)
        database.connection.execute(
            "create view public.late as"
            " select mission_id, performer_id, min(occurred_at) as started_at"
            " from scooters_ops.missions inner join scooters_ops.missions_history"
            " using (mission_id) inner join scooters_ops.mission_points using (mission_id)"
            " inner join scooters_ops.mission_jobs using (mission_id) group by mission_id"
        )
        monkeypatch.setenv("DATABASE_URL", database.conninfo)
        monkeypatch.setattr(locks, "SAY_AFTER_SECONDS", 0.2)
        traffic = Traffic(database)
        with (
            psycopg.connect(database.conninfo) as analyst,
            traffic.flowing(),
            slow_writer(database) as commits,
        ):
            analyst.execute("set transaction isolation level repeatable read")
            analyst.execute("select * from public.late")

            def say(line: str) -> None:
                """Indexes that are built while everybody works wait for older snapshots."""
                commits(line)
                if f"pid {analyst.info.backend_pid} " in line:
                    analyst.execute("select * from public.late")
                    analyst.commit()

            assert migrations.migrate(say=say)[-1] == known_migrations()[-1]
            analyst.execute("select * from public.late")
        assert database.value("select config from scooters_ops.config_in_force") == config
        assert_everything_due_arrives(database, traffic)


@pytest.mark.parametrize("end", ["patience runs out", "killed"])
def test_indexes_are_built_while_everybody_works_and_again_after_an_attempt_that_failed(
    cluster: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str
) -> None:
    """An old snapshot holds up the build. Nobody waits for it, and what it leaves is replaced."""
    unusable = "select indexrelid::regclass::text from pg_index where not indisvalid"
    with new_database(cluster) as database:
        migrate_to(database, "0016_resolutions_validated", monkeypatch, tmp_path)
        fill(database, cluster, missions=20)
        monkeypatch.setenv("DATABASE_URL", database.conninfo)
        monkeypatch.setattr(locks, "SAY_AFTER_SECONDS", 0.2)
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            if end == "killed":
                database.connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_progress_create_index"
                )

        traffic = Traffic(database)
        with psycopg.connect(database.conninfo) as analyst, traffic.flowing():
            analyst.execute("set transaction isolation level repeatable read")
            analyst.execute("select from scooters_ops.missions")
            with pytest.raises(DatabaseUnusable, match="migration 0017_steps_indexed") as refused:
                migrations.migrate(patience_seconds=1, say=say)
            assert any(f"pid {analyst.info.backend_pid} (" in line for line in said)
            if end != "killed":
                assert f"pid {analyst.info.backend_pid} (" in str(refused.value)
                assert "Run it again when they have finished" in str(refused.value)
            assert len(database.values(unusable)) == 1
            analyst.commit()
            assert migrations.migrate()[:2] == ["0017_steps_indexed", "0017_steps_unique"]
        assert database.values(unusable) == []
        assert_everything_due_arrives(database, traffic)


TOLD = """
    insert into scooters_ops.missions (mission_id, performer_id, status)
    values (%(mission)s, 'c1', 'active');
    insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
    values (%(mission)s, 'p1', 1, '10 minutes'), (%(mission)s, 'p2', 2, '10 hours');
    insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
    values (%(mission)s, 'p1', 'point_arrived', now() - interval '3 hours');
    insert into scooters_ops.monitoring_notifications (
        idempotency_token, mission_id, point_id, type, details, planned_at
    )
    values (
        %(mission)s || '_p1__timeout_in_point', %(mission)s, 'p1', 'timeout_in_point', '{}', now()
    );
    insert into scooters_ops.notification_recipients (
        notification_id, channel, target, state, attempts, reference, sent_at, last_error
    )
    select
        notification_id, 'telegram', jsonb_build_object('type', 'telegram', 'chat_id', chat_id),
        state, 1, reference, sent_at, last_error
    from
        scooters_ops.monitoring_notifications,
        (
            values
            (-1001, 'sent', '7', now(), null),
            (-1002, 'failed', null, null, 'refused'),
            (-1003, 'pending', null, null, 'unreachable')
        ) as alert (chat_id, state, reference, sent_at, last_error)
    where mission_id = %(mission)s
"""
"""A courier stays at p1, and one of three chats was told."""
LEFT = """
    insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
    values (%(mission)s, 'p1', 'point_completed', now() - interval '1 hour')
"""
RESOLVED = """
    with resolved as (
        update scooters_ops.monitoring_notifications
        set resolved_at = now(), resolution = 'moved_on'
        where mission_id = %(mission)s
        returning *
    )
    insert into scooters_ops.recorded_intervals (
        mission_id, type, is_judged, from_point_id, point_id, started_at, finished_at, eta,
        time_limit, factor, deadline, notification_id
    )
    select
        mission_id, type, true, 'p1', 'p1', now() - interval '3 hours', now() - interval '1 hour',
        '10 minutes', '15 minutes', 1.5, now() - interval '165 minutes', notification_id
    from resolved
"""


@pytest.mark.parametrize("last", ["0015_delivery_doubt", "0016_resolutions_validated"])
def test_what_was_over_before_an_upgrade_is_not_followed_up_and_what_ends_later_is(
    cluster: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last: str
) -> None:
    steps = """
        select mission_id || ' ' || chat || ' ' || step || ' ' || state
        from scooters_ops.notification_recipients inner join
        scooters_ops.monitoring_notifications using (notification_id)
        cross join lateral (select target ->> 'chat_id' as chat) as target
        where step <> 'alert' order by 1
    """
    with new_database(cluster) as database:
        migrate_to(database, last, monkeypatch, tmp_path)
        fill(database, cluster, missions=0)
        # Passes find one that was over while it was open, the backfill the other.
        for mission_id in ("over", "finished", "open"):
            told = {"mission": mission_id}
            psycopg.ClientCursor(database.connection).execute(TOLD, told)
            if mission_id != "open":
                database.connection.execute(LEFT, told)
                if last.startswith("0016"):
                    database.connection.execute(RESOLVED, told)
        database.connection.execute(
            "update scooters_ops.missions set status = 'completed' where mission_id = 'finished';"
            "insert into scooters_ops.mission_wakeups values ('over', '-infinity'),"
            " ('open', '-infinity')"
        )
        monkeypatch.setenv("DATABASE_URL", database.conninfo)
        migrations.migrate()
        database.value("select scooters_ops.detect_timeouts()")
        database.connection.execute("call scooters_ops.backfill_intervals('-infinity')")
        assert database.value("select scooters_ops.retry_deliveries()") == 3
        assert set(
            database.values(
                "select mission_id || ' ' || (ended_at < now() - interval '59 minutes')"
                """ from scooters_ops.lease_deliveries('n1', '{"telegram": 1000}', 60)"""
            )
        ) == {"over true", "finished true", None}
        database.value("select scooters_ops.release_deliveries('n1')")
        while deliver(database.connection):
            pass
        assert database.values(steps) == []

        database.value("select scooters_ops.record_event('open', 'point_completed', 'p1')")
        database.value("select scooters_ops.detect_timeouts()")
        assert database.values(steps) == [
            "open -1001 resolved pending",
            "open -1002 resolved pending",
            "open -1003 resolved pending",
        ]
        assert deliver(database.connection) == 3


def test_until_the_new_sql_is_installed_notifiers_use_the_old_lease_deliveries(
    cluster: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The installation may have to wait, or give up."""
    lease = (
        "select recipient_id from scooters_ops.lease_deliveries("
        """'n1', '{"telegram": 1000, "st": 1000}', 60)"""
    )
    with new_database(cluster) as database:
        migrate_to(database, "0008_wakeups", monkeypatch, tmp_path)
        fill(database, cluster, missions=4)
        database.connection.execute(
            """
            create function scooters_ops.lease_deliveries(
                worker text, slots jsonb, lease_seconds double precision
            )
            returns table (recipient_id bigint, channel text)
            language sql
            as $$
                select recipient_id, channel from scooters_ops.notification_recipients
                where state = 'pending'
            $$
            """
        )
        waiting = database.values(lease)
        assert waiting
        monkeypatch.setenv("DATABASE_URL", database.conninfo)
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "install", lambda *_: None)
            migrations.migrate()
        assert database.values(lease) == waiting
        migrations.migrate()
        keyed = lease.replace("recipient_id", "idempotency_key", 1)
        assert len(database.values(keyed)) == len(waiting)


def test_the_config_in_force_decides_after_an_upgrade_and_one_that_was_applied_meanwhile_too(
    cluster: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program of the version before stores a config that lacks what is new, and no matches."""

    def apply_as_before(chat_id: int) -> None:
        in_omsk = {"match": {"city": ["Omsk", 5]}, "continue": False, "escalate": []}
        config["routes"].insert(
            0, in_omsk | {"recipients": [{"type": "telegram", "chat_id": chat_id}], "remind": None}
        )
        database.connection.execute(
            "insert into scooters_ops.configs (config) values (%s)",
            (json.dumps(before_matches(config)),),
        )

    def told(city: str) -> list[int]:
        return database.values(
            "select (recipient.value ->> 'chat_id')::integer"
            " from jsonb_build_object('city', %s::text) as attributes, jsonb_array_elements("
            " scooters_ops.recipients_for('job_skipped', null, attributes)) as recipient",
            city,
        )

    with new_database(cluster) as database:
        migrate_to(database, "0017_steps_unique", monkeypatch, tmp_path)
        config = fill(database, cluster, missions=4)
        apply_as_before(-1)
        monkeypatch.setenv("DATABASE_URL", database.conninfo)
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "install", lambda *_: None)
            migrations.migrate()
        apply_as_before(-2)
        migrations.migrate()
        assert told("Omsk") == [-2]
        assert told("Tomsk") == [-1001]
        # That program is still running, and somebody deletes what it applied.
        apply_as_before(-3)
        assert told("Omsk") == [-3]
        database.connection.execute(
            "delete from scooters_ops.configs"
            " where config_id = (select max(config_id) from scooters_ops.configs)"
        )
        assert told("Omsk") == [-2]
        database.value("select scooters_ops.detect_timeouts()")
        while deliver(database.connection):
            pass
        assert set(database.values("select state from scooters_ops.notification_recipients")) == {
            "sent"
        }
        # The new program adds what is new.
        new_id = database.value("select scooters_ops.apply_config(%s)", json.dumps(config))
        assert database.value("select config from scooters_ops.config_in_force") == config
        assert database.value("select config_id from scooters_ops.compiled_config") == new_id


def test_changed_views_triggers_and_functions_take_effect_while_everyone_keeps_working(
    ours: TestDatabase, next_version: Path, cluster: Postgres
) -> None:
    """deadlock_timeout is short, so a deadlock would end a session."""
    fill(ours, cluster)
    for folder in ("detection", "delivery"):
        for file in (next_version / folder).glob("wake_*.sql"):
            text = file.read_text("utf-8")
            text = text.replace(
                "for each statement execute", "for each statement when (true) execute"
            )
            file.write_text(text.replace("begin\n", "begin\n    -- Another version.\n", 1), "utf-8")
    change_view(next_version, "delivery_status")
    ours.connection.execute(f"alter database {ours.name} set deadlock_timeout = '500ms'")
    traffic = Traffic(ours)
    with (
        psycopg.connect(ours.conninfo) as analyst,
        traffic.flowing(),
        slow_writer(ours) as commits,
    ):
        for view in ("mission_intervals", "mission_timeouts", "notifications"):
            analyst.execute(f"select from scooters_ops.{view}")
        assert migrations.migrate(say=commits) == []
    assert is_changed(ours, "delivery_status")
    assert ours.value(
        "select every(pg_get_triggerdef(oid) like '% WHEN (true) %') from pg_trigger"
        " where tgname like 'wake_%'"
    )
    assert_everything_due_arrives(ours, traffic)


def test_postgresql_agrees_where_each_statement_of_sql_ends(database: TestDatabase) -> None:
    """sqlparse takes a backslash before a quote for an escape, and `declare` for a block: two
    statements that it takes for one could be skipped together. PostgreSQL parses here, and executes
    nothing."""
    pgconn = database.connection.pgconn
    for statement in statements(ROOT / "sql/install.sql"):
        result = pgconn.prepare(b"", statement.text.encode())
        assert not result.error_message, (statement.file, result.error_message.decode())


def test_a_run_of_an_earlier_version_goes_on_after_an_upgrade(ours: TestDatabase) -> None:
    """Its detect_in_batches() calls detect_timeouts_of() for each batch; the batches after the
    upgrade are recorded."""
    for mission_id in ("m1", "m2"):
        ours.create_mission(mission_id)
        ours.value("select scooters_ops.record_event(%s, 'mission_started')", mission_id)
    ours.connection.execute(
        """
        create function scooters_ops.detect_timeouts_of(
            mission_ids text[], as_of timestamptz, still_due integer
        )
        returns integer
        language plpgsql
        as $$
        begin
            delete from scooters_ops.mission_wakeups where mission_id = any(mission_ids);
            insert into scooters_ops.detection_passes
                (as_of, started_at, elapsed, missions, inserted)
            values (as_of, now(), '0', 1, 0);
            return 0;
        end
        $$;
        """
    )
    batch = "select scooters_ops.detect_timeouts_of(%s, now(), 0)"
    recorded = "select mission_id from scooters_ops.recorded_intervals order by 1"
    with ours.connect() as run:
        run.execute(batch, (["m1"],))
        assert ours.values(recorded) == []
        migrations.migrate()
        run.execute(batch, (["m2"],))
    assert ours.values(recorded) == ["m2"]
    ours.value("select scooters_ops.detect_timeouts()")
    assert ours.values(recorded) == ["m1", "m2"]
