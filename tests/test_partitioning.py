"""sql/maintenance/: missions_history is partitioned by month, and detection finds the same."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from notifier.migrate import migrate
from notifier.resources import ROOT
from tests.conftest import TestDatabase
from tests.test_plans import scanned

pytestmark = pytest.mark.slow

RECORD = "select scooters_ops.record_event(%s, %s, %s, %s)"


def psql(database: TestDatabase, script: str, **variables: str) -> str:
    """Runs a script as a DBA would; returns what it wrote to standard error."""
    finished = subprocess.run(
        [
            *("psql", "-X", "-f", str(ROOT / "sql" / "maintenance" / script)),
            *(f"--set={name}={value}" for name, value in variables.items()),
        ],
        env=database.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode == 0) == (finished.stderr == ""), finished.stderr
    return finished.stderr


def partition(database: TestDatabase) -> None:
    assert psql(database, "partition_missions_history.sql") == ""


def drop(database: TestDatabase, part: str) -> str:
    return psql(database, "drop_missions_history_part.sql", part=part)


def month(number: int) -> datetime:
    """The beginning of this month (0), the next one (1), ..."""
    today = datetime.now(UTC)
    years, months = divmod(today.month - 1 + number, 12)
    return datetime(today.year + years, months + 1, 1, tzinfo=UTC)


def part_of(moment: datetime) -> str:
    return f"missions_history_{moment:%Y_%m}"


def parts(database: TestDatabase) -> dict[str, int]:
    """The parts of the table, with the number of their rows."""
    return {
        row["part"]: row["events"]
        for row in database.rows(
            "select part.relname as part, count(event) as events"
            " from pg_catalog.pg_inherits"
            " inner join pg_catalog.pg_class as part on inhrelid = part.oid"
            " left join scooters_ops.missions_history as event on event.tableoid = part.oid"
            " where inhparent = 'scooters_ops.missions_history'::regclass"
            " group by 1"
        )
    }


def intervals(database: TestDatabase, as_of: datetime) -> list[dict[str, Any]]:
    return database.rows(
        "select * from scooters_ops.mission_intervals_at(%s) order by mission_id, started_at", as_of
    )


def detect(database: TestDatabase, as_of: datetime) -> int:
    return int(database.value("select scooters_ops.detect_timeouts(%s)", as_of))


def record_mission(database: TestDatabase, mission_id: str, since: datetime, *events: str) -> None:
    """Creates a mission of three points and its first events, six minutes apart."""
    database.create_mission(mission_id)
    for n, event in enumerate(events):
        type, _, point_id = event.partition(" ")
        moment = since + timedelta(minutes=6 * n)
        database.connection.execute(RECORD, (mission_id, type, point_id or None, moment))


def record_fleet(database: TestDatabase) -> datetime:
    """Creates four missions around the start of the next month; returns a time in that month."""
    begins = month(1)
    record_mission(database, "over", month(-1), "mission_started", "mission_completed")
    record_mission(
        database, "across", begins - timedelta(minutes=8), "mission_started", "point_arrived p1"
    )
    database.connection.execute(
        RECORD, ("across", "point_completed", "p1", begins + timedelta(minutes=2))
    )
    record_mission(
        database, "young", begins, "mission_started", "point_arrived p1", "point_completed p1"
    )
    return begins + timedelta(minutes=20)


def test_detection_finds_the_same_after_partitioning(database: TestDatabase) -> None:
    as_of = record_fleet(database)
    assert detect(database, as_of) == 1  # the mission across, on its way to p2
    tokens, seen = database.tokens(), intervals(database, as_of)

    partition(database)

    assert parts(database)["missions_history_first"] == 4
    assert parts(database)[part_of(month(1))] == 4
    assert intervals(database, as_of) == seen
    assert database.apply_config(retention__passes_seconds=1) > 0
    assert database.apply_config(detection__notify_within_seconds=86401) > 0  # wakes all missions
    assert detect(database, as_of) == 0
    assert database.tokens() == tokens
    later = as_of + timedelta(minutes=30)
    overdue = database.values(
        "select scooters_ops.idempotency_token(mission_id, point_id, null, type)"
        " from scooters_ops.mission_intervals_at(%s) where is_overdue",
        later,
    )
    assert detect(database, later) == len(overdue) - len(tokens) > 0
    assert database.tokens() == sorted(overdue)


def test_a_session_from_before_partitioning_writes_on_and_wakes_its_missions(
    database: TestDatabase,
) -> None:
    as_of = record_fleet(database)
    with database.connect(role="scooters_ops_writer") as writer:
        for _ in range(7):  # after so many runs the session caches the plan
            writer.execute(RECORD, ("young", "battery_low", "p1", as_of), prepare=True)
        last_id = database.value("select max(history_id) from scooters_ops.missions_history")
        partition(database)
        detect(database, as_of)
        cursor = writer.execute(RECORD, ("young", "point_arrived", "p2", as_of), prepare=True)
        (history_id,) = cursor.fetchone() or (None,)
    assert history_id > last_id
    assert parts(database)[part_of(month(1))] == 12
    assert database.values(
        "select mission_id from scooters_ops.mission_wakeups where due_at = '-infinity'"
    ) == ["young"]
    assert detect(database, as_of + timedelta(minutes=8)) == 1
    assert "young_p2__timeout_in_point" in database.tokens()


@pytest.mark.parametrize(
    ("statement", "woken"),
    [
        (
            "insert into scooters_ops.missions_history (mission_id, type, occurred_at) values"
            " ('a', 'mission_started', %(this)s), ('b', 'mission_started', %(next)s),"
            " ('c', 'battery_low', %(next)s)",
            ["a", "b"],
        ),
        (
            "update scooters_ops.missions_history set occurred_at = %(next)s"
            " where mission_id = 'over' and type = 'mission_completed'",
            ["over"],
        ),
        (
            "delete from scooters_ops.missions_history",
            ["across", "over", "young"],
        ),
        (
            "merge into scooters_ops.missions_history as event"
            " using (values (%(this)s)) as given (moment) on event.mission_id = 'over'"
            " when matched and event.type = 'mission_started' then delete",
            ["over"],
        ),
    ],
    ids=["insert into two parts", "update from one part to another", "delete", "merge"],
)
def test_every_change_wakes_its_missions(
    database: TestDatabase, statement: str, woken: list[str]
) -> None:
    record_fleet(database)
    partition(database)
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    database.connection.execute(statement, {"this": month(0), "next": month(1)})
    assert (
        database.values("select distinct mission_id from scooters_ops.mission_wakeups order by 1")
        == woken
    )


def test_copy_wakes_its_missions(database: TestDatabase) -> None:
    partition(database)
    with database.connection.cursor().copy(
        "copy scooters_ops.missions_history (mission_id, type, occurred_at) from stdin"
    ) as rows:
        rows.write_row(("m1", "mission_started", month(0)))
        rows.write_row(("m2", "mission_started", month(1)))
    assert database.values("select mission_id from scooters_ops.mission_wakeups order by 1") == [
        "m1",
        "m2",
    ]


def test_detection_misses_nothing_after_an_old_part_was_dropped(database: TestDatabase) -> None:
    begins = month(1)
    record_mission(
        database, "over", month(-1), "mission_started", "point_arrived p1", "mission_completed"
    )
    database.connection.execute(
        RECORD, ("over", "mission_completed", None, month(-1) + timedelta(hours=1))
    )
    record_mission(database, "young", begins, "mission_started", "point_arrived p1")
    as_of = begins + timedelta(minutes=20)
    detect(database, month(-1) + timedelta(minutes=11))
    assert detect(database, as_of) == 1
    tokens = database.tokens()
    seen = intervals(database, as_of)
    partition(database)

    assert drop(database, "missions_history_first") == ""

    assert "missions_history_first" not in parts(database)
    assert database.value("select count(*) from scooters_ops.missions_history") == 2
    assert intervals(database, as_of) == [row for row in seen if row["mission_id"] == "young"]
    assert database.values("select mission_id from scooters_ops.mission_wakeups") == []
    # Evaluating all missions again does not notify anybody twice.
    database.connection.execute(
        "insert into scooters_ops.mission_wakeups select mission_id, '-infinity'"
        " from scooters_ops.missions"
    )
    assert detect(database, as_of) == 0
    assert database.tokens() == tokens
    database.connection.execute(RECORD, ("young", "point_completed", "p1", as_of))
    assert detect(database, as_of + timedelta(minutes=16)) == 1
    assert "young_p2__timeout_between_points" in database.tokens()
    # An old event finds its part.
    database.connection.execute(RECORD, ("over", "battery_low", "p1", month(-1)))
    assert parts(database)["missions_history_default"] == 1


@pytest.mark.parametrize("story", ["under way", "just over", "over, but not all of it here"])
def test_a_part_that_detection_needs_is_not_dropped(database: TestDatabase, story: str) -> None:
    now = datetime.now(UTC)
    match story:
        case "under way":
            record_mission(database, "needed", month(-1), "mission_started")
        case "just over":
            record_mission(
                database, "needed", now - timedelta(hours=1), "mission_started", "mission_completed"
            )
        case "over, but not all of it here":
            database.apply_config(detection__notify_within_seconds=None)
            record_mission(
                database,
                "needed",
                month(1) - timedelta(minutes=1),
                "mission_started",
                "mission_completed",
            )
    record_mission(database, "over", month(-1), "mission_started", "mission_completed")
    partition(database)
    events = database.rows("select * from scooters_ops.missions_history order by history_id")
    assert "is still needed, for example by mission needed (1 missions in all)" in drop(
        database, "missions_history_first"
    )
    assert events == database.rows(
        "select * from scooters_ops.missions_history order by history_id"
    )


def test_only_a_part_can_be_dropped(database: TestDatabase) -> None:
    partition(database)
    assert "missions is not a part of missions_history" in drop(database, "missions")


def test_a_pass_reads_the_parts_only_by_their_indexes(database: TestDatabase) -> None:
    as_of = record_fleet(database)
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, type, occurred_at)"
        " select 'm' || n, 'mission_started', %(this)s from generate_series(1, 20000) as n"
        " union all"
        " select 'm' || n, 'mission_completed', %(next)s from generate_series(1, 20000) as n",
        {"this": month(0), "next": month(1)},
    )
    partition(database)
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    database.connection.execute("vacuum analyze scooters_ops.mission_wakeups")
    database.connection.execute(
        "insert into scooters_ops.mission_wakeups values ('across', '-infinity')"
    )
    first, next_month = "missions_history_first", part_of(month(1))
    pass_, view = (
        f"select scooters_ops.detect_timeouts('{as_of}')",
        f"select * from scooters_ops.mission_intervals_at('{as_of}') where mission_id = 'across'",
    )
    database.apply_config(detection__silent_input_after_seconds=900)
    input_ = f"select * from scooters_ops.input_status('{as_of}')"
    with database.connection.transaction():
        read = scanned(database, input_)
    assert {f"{first}_pkey", f"{next_month}_pkey"} <= read
    assert not read & {first, next_month, "missions_history_default"}
    (told,) = database.rows(input_)
    assert told["newest_event_at"] == month(1)
    for statement in (view, pass_):
        with database.connection.transaction():
            read = scanned(database, statement)
        assert f"{first}_mission_id_occurred_at_idx" in read
        assert f"{next_month}_mission_id_occurred_at_history_id_idx" in read
        assert not read & {first, next_month}, statement
    assert database.value("select missions from scooters_ops.detection_passes") == 1


def test_running_the_script_again_adds_the_missing_months(database: TestDatabase) -> None:
    partition(database)
    names = parts(database).keys()
    assert names == {
        "missions_history_first",
        "missions_history_default",
        *(part_of(month(n)) for n in (1, 2, 3)),
    }
    for n in (2, 3):
        database.connection.execute(f"drop table scooters_ops.{part_of(month(n))}")
    database.create_mission()
    for n in (1, 2, 3, 4):
        database.connection.execute(RECORD, ("m1", "battery_low", "p1", month(n)))
    assert parts(database)["missions_history_default"] == 3

    partition(database)

    assert parts(database) == dict.fromkeys(names, 1) | {"missions_history_first": 0}
    before = database.rows("select * from scooters_ops.missions_history order by history_id")
    partition(database)
    assert parts(database).keys() == names
    assert before == database.rows(
        "select * from scooters_ops.missions_history order by history_id"
    )


SHAPE = {
    "columns": (
        "select attname, format_type(atttypid, atttypmod), attcollation, attnotnull, attidentity,"
        " col_description(attrelid, attnum) from pg_catalog.pg_attribute"
        " where attrelid = 'scooters_ops.missions_history'::regclass and attnum > 0 order by attnum"
    ),
    "checks": (
        "select conname, pg_get_constraintdef(oid) from pg_catalog.pg_constraint"
        " where conrelid = 'scooters_ops.missions_history'::regclass and contype = 'c'"
        " order by conname"
    ),
    "indexes": (
        "select relname, pg_get_indexdef(oid) as definition, obj_description(oid, 'pg_class')"
        " from pg_catalog.pg_index inner join pg_catalog.pg_class on indexrelid = oid"
        " where indrelid = 'scooters_ops.missions_history'::regclass order by relname"
    ),
    "triggers": (
        "select tgname, pg_get_triggerdef(oid), tgenabled from pg_catalog.pg_trigger"
        " where tgrelid = 'scooters_ops.missions_history'::regclass order by tgname"
    ),
    "statistics": (
        "select stxname, pg_get_statisticsobjdef(oid) from pg_catalog.pg_statistic_ext"
        " where stxrelid = 'scooters_ops.missions_history'::regclass"
    ),
    "owner and rights": (
        "select relowner, array(select acl::text from unnest(relacl) as acl order by 1),"
        " obj_description(oid, 'pg_class')"
        " from pg_catalog.pg_class where oid = 'scooters_ops.missions_history'::regclass"
    ),
}


def test_the_table_is_as_the_migrations_made_it(database: TestDatabase) -> None:
    database.connection.execute(
        "grant insert on scooters_ops.missions_history to scooters_ops_writer with grant option;"
        " grant select on scooters_ops.missions_history to public;"
        " alter table scooters_ops.missions_history owner to pg_database_owner"
    )
    before = {what: database.rows(query) for what, query in SHAPE.items()}
    assert all(before.values())

    partition(database)

    for index in before["indexes"]:  # only the key differs
        index["definition"] = re.sub(
            r"\(history_id\)$", "(history_id, occurred_at)", index["definition"]
        )
        index["definition"] = index["definition"].replace(" ON ", " ON ONLY ")
    assert {what: database.rows(query) for what, query in SHAPE.items()} == before


def test_the_next_migration_finds_nothing_to_do(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_of = record_fleet(database)
    partition(database)
    seen = intervals(database, as_of)
    monkeypatch.setenv("DATABASE_URL", database.conninfo)
    assert migrate() == []
    assert intervals(database, as_of) == seen
    assert detect(database, as_of) == 1


def test_nothing_changes_if_another_users_view_reads_the_table(
    database: TestDatabase,
) -> None:
    record_fleet(database)
    database.connection.execute("create view theirs as table scooters_ops.missions_history")
    assert "would read only the old part of the table: public.theirs" in psql(
        database, "partition_missions_history.sql"
    )
    assert database.value("select count(*) from pg_catalog.pg_inherits") == 0
    assert database.value("select count(*) from scooters_ops.missions_history") == 8

    database.connection.execute("drop view theirs")
    partition(database)
    assert database.value("select count(*) from scooters_ops.missions_history") == 8


@pytest.mark.parametrize(
    "script", ["partition_missions_history.sql", "drop_missions_history_part.sql"]
)
def test_if_another_session_locks_the_table_only_the_script_gives_up(
    database: TestDatabase, script: str
) -> None:
    if script.startswith("drop"):
        partition(database)
    else:  # otherwise the script would wait here, without a lock
        database.connection.execute(
            "create unique index missions_history_first_pkey"
            " on scooters_ops.missions_history (history_id, occurred_at)"
        )
    database.create_mission()
    with psycopg.connect(database.conninfo) as writer:
        writer.execute(RECORD, ("m1", "mission_started", None, month(-1)))
        assert "lock timeout" in psql(database, script, part=part_of(month(3)))
        writer.execute(RECORD, ("m1", "point_arrived", "p1", month(-1)))
    assert database.value("select count(*) from scooters_ops.missions_history") == 2
