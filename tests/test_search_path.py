"""Whatever somebody puts into `public` or into a search_path, our functions, procedures and views
resolve no name there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from notifier.migrate import migrate
from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, at, config, until
from tests.delivery_rigs import TELEGRAM, TICKET, make_house
from tests.http_rigs import http_process, http_user

pytestmark = pytest.mark.slow

# These commit and so cannot have a search_path of their own; each of their transactions sets it.
# The tests below run them.
PROCEDURES = {
    "backfill_intervals",
    "detect_between_batches",
    "detect_for_a_minute",
    "detect_in_batches",
    "prune_in_batches",
}

HOSTILE_PATH = "public, scooters_ops, pg_catalog"

# Every function of pg_catalog that our sources mention, every operator, and some types, created in
# public with the same arguments, so that a lookup that starts in public finds an equal match.
HOSTILE_FUNCTIONS = """
do $hostile$
declare
    victim record;
begin
    for victim in
        select distinct on (proname, proargtypes)
            pg_get_function_arguments(oid) as arguments,
            proname,
            pg_get_function_result(oid) as result
        from pg_catalog.pg_proc
        where
            pronamespace = 'pg_catalog'::regnamespace
            and prokind = 'f'
            and proname = any(%(names)s)
            and not 'internal'::regtype = any(proargtypes)
            and not 'cstring'::regtype = any(proargtypes)
    loop
        begin
            execute format(
                'create function public.%%I(%%s) returns %%s language plpgsql as'
                ' $$ begin raise exception ''hijacked''; end $$',
                victim.proname, victim.arguments, victim.result
            );
        exception
            when others then null;  -- a pseudo-type that no function of a user may take
        end;
    end loop;

    for victim in
        select
            oprname,
            format('hijacking_%%s', oid) as function_name,
            format_type(oprleft, null) as left_type,
            format_type(oprright, null) as right_type,
            format_type(oprresult, null) as result,
            oprleft <> 0 as is_binary
        from pg_catalog.pg_operator
        where oprnamespace = 'pg_catalog'::regnamespace
    loop
        begin
            execute format(
                'create function public.%%I(%%s%%s) returns %%s'
                ' language plpgsql as $$ begin raise exception ''hijacked''; end $$',
                victim.function_name,
                case when victim.is_binary then victim.left_type || ', ' else '' end,
                victim.right_type,
                victim.result
            );
            execute format(
                'create operator public.%%s (function = public.%%I, %%s rightarg = %%s)',
                victim.oprname,
                victim.function_name,
                case
                    when victim.is_binary then format('leftarg = %%s,', victim.left_type)
                    else ''
                end,
                victim.right_type
            );
        exception
            when others then null;
        end;
    end loop;

    create type public.text as enum ('hijacked');
    create type public.timestamptz as enum ('hijacked');
    create type public.jsonb as enum ('hijacked');
end
$hostile$
"""


def names_called() -> list[str]:
    """Every name in sql/ and in the programs that looks like a call."""
    sources = (
        path.read_text()
        for folder, files in (("sql", "*.sql"), ("notifier", "*.py"))
        for path in (ROOT / folder).rglob(files)
    )
    return sorted({name for text in sources for name in re.findall(r"\b([a-z_0-9]+)\s*\(", text)})


def fill_public(connection: psycopg.Connection[Any]) -> None:
    """Creates a match in public for each name that we use; it raises an error when called."""
    quoted = "array[" + ", ".join(f"'{name}'" for name in names_called()) + "]::pg_catalog.name[]"
    connection.execute("set search_path = pg_catalog")
    connection.execute((HOSTILE_FUNCTIONS % {"names": quoted}).encode())


@pytest.fixture
def hostile(database: TestDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A session whose search_path starts with a hostile public, as anybody can set for a session
    and an owner for a database. Its own statements must not use operators."""
    fill_public(database.connection)
    with database.connect() as connection:
        connection.execute(f"set search_path = {HOSTILE_PATH}")
        yield connection


def call(connection: psycopg.Connection[Any], statement: str, *parameters: Any) -> Any:
    cursor = connection.execute(statement.encode(), parameters or None)
    row = cursor.fetchone() if cursor.description else None
    return None if row is None else row[0]


# --- The catalog ----------------------------------------------------------------------------------


def test_every_function_has_a_search_path_or_was_bound_when_it_was_created(
    database: TestDatabase,
) -> None:
    rows = database.rows(
        "select proname::text as name, prokind::text as kind, prosqlbody is not null as is_parsed,"
        " proconfig from pg_proc where pronamespace = 'scooters_ops'::regnamespace"
    )
    unpinned = {
        row["name"]
        for row in rows
        if not row["is_parsed"]
        and "search_path=pg_catalog, pg_temp" not in (row["proconfig"] or ())
    }
    assert unpinned == PROCEDURES
    assert {row["name"] for row in rows if row["kind"] == "p"} == PROCEDURES


# --- A hostile public -----------------------------------------------------------------------------


def test_a_hostile_public_does_affect_a_function_without_a_search_path(
    hostile: psycopg.Connection[Any],
) -> None:
    for statement in (
        "select now()",
        "select 1 + 1",
        "select '{}'::pg_catalog.jsonb || '{}'::pg_catalog.jsonb",
        "select greatest(1, 2)::pg_catalog.int8 >= 3::pg_catalog.int8",
        "select cardinality(array[1])",
        "select make_interval(secs => 1)",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="hijacked"):
            hostile.execute(statement.encode())
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        hostile.execute("select 'x'::text")


def test_passes_and_pruning_ignore_a_hostile_public(
    database: TestDatabase, hostile: psycopg.Connection[Any]
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    # Two batches, so that a second pass follows a commit.
    database.apply_config(
        detection__batch_size=1,
        detection__notify_within_seconds=31622400,
        retention__notifications_seconds=1,
        retention__intervals_seconds=1,
    )
    database.create_mission("m2")
    database.connection.execute(
        "update scooters_ops.missions_history set occurred_at = now() - interval '1 day'"
    )
    call(hostile, "call scooters_ops.detect_in_batches()")
    assert database.tokens() == ["m1_p1__timeout_between_points"]
    # The first batch had as many intervals to judge as it may take, so it looked once more.
    assert database.value("select count(*) from scooters_ops.detection_passes") == 3
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set completed = true, planned_at = now()"
    )
    call(hostile, "call scooters_ops.prune_in_batches()")
    # A minute with one pass.
    call(hostile, "call scooters_ops.detect_for_a_minute('1 minute')")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        call(hostile, "call scooters_ops.detect_for_a_minute('1 hour')")
    assert database.value("select count(*) from scooters_ops.detection_passes") >= 4
    database.connection.execute("delete from scooters_ops.recorded_intervals")
    database.connection.execute("update scooters_ops.missions set status = 'completed'")
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    call(hostile, "call scooters_ops.backfill_intervals('-infinity')")
    assert database.value("select count(*) from scooters_ops.recorded_intervals") == 0
    assert call(hostile, "select scooters_ops.detect_timeouts()") == 0


def test_a_minute_of_passes_ignores_a_hostile_public_between_passes(
    database: TestDatabase, hostile: psycopg.Connection[Any]
) -> None:
    """The second pass of the minute comes after commits and a sleep."""
    database.connection.execute("set search_path = pg_catalog")
    passes = "select count(*) from scooters_ops.detection_passes"
    with ThreadPoolExecutor(1) as pool:
        minute = pool.submit(call, hostile, "call scooters_ops.detect_for_a_minute('1 second')")
        until(lambda: minute.done() or database.value(passes) >= 2)
        hostile.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            minute.result()


def test_functions_ignore_a_hostile_public(
    database: TestDatabase, hostile: psycopg.Connection[Any]
) -> None:
    """A skip and a timeout from beginning to end, through every function that is called."""
    mission = {
        "mission_id": "m1",
        "performer_id": "c1",
        "points": [
            {
                "point_id": point,
                "eta_seconds": 600,
                "jobs": [{"job_id": "j1", "type": "pickup", "eta_seconds": 60}],
            }
            for point in ("p1", "p2", "p3")
        ],
    }
    call(
        hostile,
        "select scooters_ops.apply_config(%s)",
        json.dumps(
            config(
                routes=[
                    {
                        "match": {"type": ["job_skipped"], "job_type": "pickup"},
                        "recipients": [{"type": "st", "queue": "DUTY"}],
                        "continue": True,
                    },
                    {"match": {}, "recipients": [{"type": "telegram", "chat_id": -1001}]},
                ]
            )
        ),
    )
    assert call(hostile, "select scooters_ops.create_mission(%s)", json.dumps(mission)) == "m1"
    events = [
        ("mission_started", None, 0),
        ("point_arrived", "p1", 30),
        ("point_completed", "p1", 60),
    ]
    for type_, point_id, minutes in events:
        call(
            hostile,
            "select scooters_ops.record_event(%s, %s, %s, %s)",
            "m1",
            type_,
            point_id,
            at(minutes),
        )
    once = "select scooters_ops.record_event_once('m1', 'point_arrived', 'p3', %s, 'k1')"
    first = call(hostile, once, at(70))
    assert call(hostile, once, at(70)) == first
    assert call(hostile, "select scooters_ops.skip_job('m1', 'p2', 'j1')") is True
    assert call(hostile, "select scooters_ops.detect_timeouts(%s)", at(100)) == 3
    assert call(hostile, "select scooters_ops.wake_missions('{m1}')") == 1
    assert call(hostile, "select scooters_ops.wake_missions('-infinity', 'infinity')") == 1
    assert call(hostile, "select scooters_ops.detect_timeouts(%s)", at(101)) == 0

    assert call(hostile, "select scooters_ops.plan_deliveries(10)") == 4
    call(hostile, "select scooters_ops.report_notifier('n1', 1, '0001')")
    lease = (
        "select recipient_id from scooters_ops.lease_deliveries("
        "'n1', '{\"telegram\": 9, \"st\": 9}', 60)"
    )
    leased = [row[0] for row in hostile.execute(lease.encode()).fetchall()]
    assert leased
    call(hostile, "select scooters_ops.renew_leases('n1', %s, 60)", leased)
    call(hostile, "select wait_seconds from scooters_ops.next_delivery('{telegram,st}')")
    results = [
        {
            "recipient_id": leased[0],
            "state": "in_doubt",
            "is_attempt": True,
            "delay_seconds": 0,
            "error": "?",
            "hold_seconds": 5,
        }
    ]
    assert (
        call(hostile, "select scooters_ops.record_deliveries('n1', %s)", json.dumps(results)) == 1
    )
    call(hostile, "select scooters_ops.release_deliveries('n1')")
    call(hostile, "select scooters_ops.probe_channels('{telegram}')")
    token = database.value(
        "select idempotency_token from scooters_ops.notification_deliveries"
        " where state = 'in_doubt'"
    )
    assert call(hostile, "select scooters_ops.retry_deliveries(%s)", token) == 1
    assert call(hostile, "select scooters_ops.confirm_deliveries(%s)", token) == 0
    call(hostile, "select scooters_ops.retire_notifier('n1')")
    call(hostile, "select scooters_ops.applied_migrations()")
    call(hostile, "select scooters_ops.mission_schema()")
    call(hostile, "select scooters_ops.config_schema()")
    assert call(hostile, "select scooters_ops.opens_or_closes_interval('nothing')") is False
    assert (
        call(
            hostile, "select scooters_ops.idempotency_token('m_1', 'p1', null, 'timeout_in_point')"
        )
        == r"m\_1_p1__timeout_in_point"
    )
    assert call(hostile, "select scooters_ops.recipients_for('timeout_in_point', null, '{}')") == [
        {"type": "telegram", "chat_id": -1001}
    ]
    call(
        hostile,
        "select free from scooters_ops.rate_limit_status("
        "'{2026-01-01}', '[{\"messages\": 1, \"seconds\": 1}]')",
    )
    assert (
        len(
            hostile.execute(
                b"select is_overdue from scooters_ops.mission_intervals_at('infinity')"
            ).fetchall()
        )
        == 4
    )
    assert call(hostile, "select scooters_ops.board('timeout_in_point', 'Omsk', 'c')")
    assert call(hostile, "select scooters_ops.board()")
    assert call(hostile, "select scooters_ops.board_mission('m1')")["mission_id"] == "m1"
    call(hostile, "select scooters_ops.prune_bookkeeping()")
    # The triggers on the plan and on the history.
    database.connection.execute("set search_path = pg_catalog")
    hostile.execute(b"update scooters_ops.missions_history set type = type")
    hostile.execute(b"delete from scooters_ops.missions_history")
    hostile.execute(b"update scooters_ops.mission_points set eta = '1 minute'")
    hostile.execute(b"delete from scooters_ops.missions")


def test_views_ignore_a_hostile_public(
    database: TestDatabase, hostile: psycopg.Connection[Any]
) -> None:
    database.connection.execute("set search_path = pg_catalog")
    views = database.values(
        "select relname::text from pg_class where relnamespace = 'scooters_ops'::regnamespace"
        " and relkind = 'v'"
    )
    assert len(views) > 20
    database.create_mission()
    database.record("mission_started", 0)
    for view in views:
        hostile.execute(f"select * from scooters_ops.{view}".encode())


def test_an_installation_over_a_hostile_public_binds_nothing_in_it(
    cluster: Postgres, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade of a database whose search_path starts with public."""
    fill_public(database.connection)
    database.connection.execute(f"alter database {database.name} set search_path = {HOSTILE_PATH}")
    monkeypatch.setenv("DATABASE_URL", database.conninfo)
    migrate()
    # Functions, operators and types, in functions, views, triggers, constraints and defaults.
    database.connection.execute("set search_path = pg_catalog")
    assert (
        database.values(
            "select distinct pg_describe_object(classid, objid, objsubid)"
            "  || ' needs ' || pg_describe_object(refclassid, refobjid, refobjsubid)"
            " from pg_depend"
            " where (pg_identify_object(refclassid, refobjid, refobjsubid)).schema = 'public'"
            "  and (pg_identify_object(classid, objid, objsubid)).schema"
            "   is distinct from 'public'"
        )
        == []
    )
    database.create_mission()
    database.record("mission_started", 0)
    assert database.detect(20) == 1


def test_the_programs_ignore_a_hostile_public(database: TestDatabase) -> None:
    """Even in their first statements, on a database whose search_path starts with public."""
    with make_house(database) as house, http_user(database) as environment:
        fill_public(database.connection)
        database.connection.execute(
            f"alter database {database.name} set search_path = {HOSTILE_PATH}"
        )
        house.configure(TELEGRAM, TICKET)
        token = house.skip()
        with http_process(environment, "run") as process:
            until(house.is_sent)
            assert process.client.get("/readyz").json()["problems"] == []
            assert "scooters_ops_database_up 1.0" in process.client.get("/metrics").text
            for page in ("/board", "/board/missions/m1"):
                assert process.client.get(page).status_code == 200
            assert process.skip("m1", "p1", "j1").json() == {"skipped": False}
            assert process.record("m1", {"type": "mission_started"}, "k1").status_code == 201
            assert process.stop() == 0
        assert "hijacked" not in process.log
        admin = {"PGUSER": database.environment["PGUSER"]}
        for arguments in (
            ("status",),
            ("status", "--jobs"),
            ("retry", "--failed"),
            ("preview", "job_skipped", "--token", token),
            ("config", "show"),
            ("migrate",),
            ("schedule", "--wait", "0"),
            ("unschedule",),
        ):
            finished = house.process(*arguments, **admin)
            # status --jobs reports that no pass is scheduled.
            assert finished.returncode == ("--jobs" in arguments), finished.stderr
            assert "hijacked" not in finished.stdout + finished.stderr
