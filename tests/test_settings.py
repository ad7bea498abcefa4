"""Settings of a server, a role, a client or a pooler never change what is noticed and sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from notifier.database.statements import Database
from notifier.metrics import Metrics
from notifier.migrate import migrate
from notifier.status import report
from notifier.status.advice import advice
from notifier.status.snapshot import Status
from notifier.web.app import make_app
from notifier.web.board.router import board_router
from notifier.web.pool import Pool, read_pool
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, TestDatabase, shared_database
from tests.delivery_rigs import SECRETS, TELEGRAM, TICKET, House, make_house
from tests.http_rigs import TOKEN, skip_url, url_of

pytestmark = pytest.mark.slow

LOGIN = "duty_everything"
"""A user that may write, deliver and read."""
NAME = "Анна 🛴"
RUSSIAN = "Анна Каренина"

# Settings that can be combined.
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "how values are written": {
        "DateStyle": "SQL, DMY",
        "IntervalStyle": "iso_8601",
        "TimeZone": "Asia/Kathmandu",
        "extra_float_digits": "-15",
        "bytea_output": "escape",
        "xmlbinary": "hex",
        "xmloption": "document",
        "lc_monetary": "C.UTF-8",
        "lc_numeric": "C.UTF-8",
        "lc_time": "C.UTF-8",
        "client_encoding": "WIN1251",
    },
    "how statements are read": {
        "DateStyle": "German, YMD",
        "IntervalStyle": "sql_standard",
        "TimeZone": "<+03:17>-03:17",
        "timezone_abbreviations": "Australia",
        "standard_conforming_strings": "off",
        "escape_string_warning": "off",
        "backslash_quote": "off",
        "transform_null_equals": "on",
        "array_nulls": "off",
        "quote_all_identifiers": "on",
        "search_path": "strangers, pg_catalog",
        "client_encoding": "SQL_ASCII",
        "client_min_messages": "debug1",
    },
    "how transactions work": {
        "DateStyle": "Postgres, MDY",
        "IntervalStyle": "postgres_verbose",
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
        "row_security": "off",
        "lock_timeout": "20s",
        "statement_timeout": "20s",
        "idle_in_transaction_session_timeout": "20s",
        "idle_session_timeout": "60s",
        "synchronous_commit": "off",
        "client_encoding": "EUC_JP",
    },
    "how plans are made": {
        "default_transaction_isolation": "repeatable read",
        "plan_cache_mode": "force_generic_plan",
        "enable_indexscan": "off",
        "enable_bitmapscan": "off",
        "enable_sort": "off",
        "enable_material": "off",
        "from_collapse_limit": "1",
        "join_collapse_limit": "1",
        "geqo_threshold": "2",
        "jit": "on",
        "jit_above_cost": "0",
        "cursor_tuple_fraction": "1",
        "work_mem": "64kB",
        "client_encoding": "LATIN1",
    },
}
# The other settings of this kind that every user may change, and why the test does not try them.
EXCLUDED = {
    "default_transaction_read_only": "forbids writing: the notifier waits, as for a standby",
    "transaction_read_only": "set for one transaction only",
    "transaction_isolation": "set for one transaction only",
    "transaction_deferrable": "set for one transaction only",
    "transaction_timeout": "since 17; ends our transactions as statement_timeout does",
    "restrict_nonsystem_relation_kind": "forbids views on purpose",
    "local_preload_libraries": "loads other people's code",
    "default_text_search_config": "nothing searches text",
    "gin_fuzzy_search_limit": "there is no GIN index",
    "gin_pending_list_limit": "there is no GIN index",
    "check_function_bodies": "only matters to make migrate",
    "createrole_self_grant": "only matters to make migrate",
    "icu_validation_level": "only matters to create database",
    "default_table_access_method": "only matters to make migrate",
    "default_tablespace": "only matters to make migrate",
    "default_toast_compression": "only matters to make migrate",
    "temp_tablespaces": "there is no temporary table",
    "synchronize_seqscans": "changes the order of rows only if none is asked for",
    "exit_on_error": "makes any error a lost connection",
}
# Settings that no role may set, and others that only a client has.
CLIENT_SETTINGS = {
    "PGOPTIONS": "-c IntervalStyle=iso_8601 -c DateStyle=German -c search_path=strangers,pg_catalog"
    " -c standard_conforming_strings=off -c default_transaction_isolation=serializable",
    "PGCLIENTENCODING": "WIN1251",
    "PGTZ": "America/St_Johns",
    "PGDATESTYLE": "SQL, DMY",
    "PGGEQO": "off",
}


@pytest.fixture(scope="module")
def house(cluster: Postgres) -> Iterator[House]:
    """One database for all tests: each journey is its own mission."""
    with shared_database(cluster) as database, make_house(database) as house:
        prepare(house)
        yield house


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def prepare(house: House) -> None:
    house.database.connection.execute(
        f"""
        do $$ begin
            create role {LOGIN} login
            in role scooters_ops_notifier, scooters_ops_writer, scooters_ops_analyst;
        exception when duplicate_object then null; end $$;
        create schema strangers;
        grant usage on schema strangers to public;
        create function strangers.current_setting(text) returns text
        language plpgsql as $$ begin raise 'another user''s function'; end $$;
        create function strangers.now() returns timestamptz
        language plpgsql as $$ begin raise 'another user''s function'; end $$;
        """
    )
    house.configure(TELEGRAM, TICKET)


@contextmanager
def set_for(house: House, scope: str, settings: Mapping[str, str]) -> Iterator[None]:
    """Inside, every new session of the database, or of our roles in it, starts with these."""
    database = sql.Identifier(house.database.name)
    targets = {
        "database": [sql.SQL("alter database {}").format(database)],
        "role": [
            sql.SQL("alter role {} in database {}").format(sql.Identifier(role), database)
            for role in ("postgres", LOGIN)
        ],
    }[scope]
    try:
        for target in targets:
            for name, value in settings.items():
                values = value.split(", ") if name == "search_path" else [value]
                house.database.connection.execute(
                    sql.SQL("{} set {} = {}").format(
                        target, sql.Identifier(name), sql.SQL(", ").join(map(sql.Literal, values))
                    )
                )
        yield
    finally:
        for target in targets:
            house.database.connection.execute(sql.SQL("{} reset all").format(target))


_numbers = count(1)


def journey(house: House, name: str = NAME) -> str:
    """A courier is late at a point, was late on the way to it, and skips a job at the next one. The
    sessions are those of a service and of pg_cron, with the settings they are given. Returns the
    mission's identifier."""
    mission_id = f"m_{next(_numbers)}\\"
    mission = {
        "mission_id": mission_id,
        "performer_id": "c1",
        "attributes": {"city": "Moscow", "performer_name": name},
        "points": [
            {
                "point_id": f"p{point}",
                "eta_seconds": 600,
                "jobs": [{"job_id": "j1", "type": "battery_exchange"}],
            }
            for point in (1, 2)
        ],
    }
    now = datetime.now(UTC).replace(microsecond=123456)
    started_at, arrived_at = now - timedelta(minutes=60), now - timedelta(minutes=40)
    with psycopg.connect(
        make_conninfo(house.database.conninfo, user=LOGIN),
        autocommit=True,
        client_encoding="UTF8",  # a service that writes such names sets this
    ) as service:
        service.execute("select scooters_ops.create_mission(%s)", (Jsonb(mission),))
        for type, point, occurred_at in (
            ("mission_started", None, started_at),
            ("point_arrived", "p1", arrived_at),
        ):
            service.execute(
                "select scooters_ops.record_event(%s, %s, %s, %b)",
                (mission_id, type, point, occurred_at),
            )
        service.execute("select scooters_ops.skip_job(%s, 'p2', 'j1')", (mission_id,))
    with psycopg.connect(house.database.conninfo, autocommit=True) as cron:
        cron.execute("select scooters_ops.detect_timeouts()")
    return mission_id


def assert_noticed(house: House, mission_id: str) -> None:
    """The tokens and facts are right, and everything was sent to every recipient."""
    escaped = mission_id.replace("\\", "\\\\").replace("_", "\\_")
    rows = house.database.rows(
        "select idempotency_token, details, created_at, completed"
        " from scooters_ops.monitoring_notifications where mission_id = %s"
        " order by idempotency_token",
        mission_id,
    )
    assert [row["idempotency_token"] for row in rows] == [
        f"{escaped}_p1__timeout_between_points",
        f"{escaped}_p1__timeout_in_point",
        f"{escaped}_p2_j1_job_skipped",
    ]
    between, within, skipped = (row["details"] for row in rows)
    assert (between["eta_seconds"], between["factor"], between["limit_seconds"]) == (600, 1.5, 900)
    assert between["elapsed_seconds"] == 1200
    assert (within["eta_seconds"], within["limit_seconds"]) == (300, 450)
    arrived_at = datetime.fromisoformat(within["started_at"])
    assert datetime.fromisoformat(between["finished_at"]) == arrived_at
    assert arrived_at.microsecond == 123456
    assert datetime.fromisoformat(skipped["skipped_at"]) == rows[2]["created_at"]
    assert all(row["completed"] for row in rows)


def assert_arrived(house: House, name: str = NAME) -> None:
    """Three more messages and three more tickets name the courier."""
    messages, tickets = house.telegram.messages, house.tracker.tickets
    assert len(messages) % 3 == 0, [message.text for message in messages]
    assert len(tickets) == len(messages)
    assert all(name in message.text for message in messages[-3:])


async def assert_readable(house: House, mission_id: str, name: str = NAME) -> None:
    """Status, board, metrics and the HTTP API work."""
    database = await Database.connect(30)
    try:
        found = await Status.read(database)
        assert not found.detection.is_stalled
        assert found.detection.last_pass_elapsed is not None
        assert advice(found) == []
        assert json.dumps(report.document(found))
        assert report.text(found)
    finally:
        await database.close()

    metrics = Metrics()
    async with (
        Pool("api", "scooters_ops_writer", 1, metrics) as api_pool,
        read_pool("metrics", "scooters_ops_notifier", metrics) as reads,
        read_pool("board", "scooters_ops_analyst", metrics) as board_reads,
    ):
        app = make_app(
            api_pool,
            reads,
            reads,
            board_router(board_reads.rows, "en", UTC),
            metrics,
            token=TOKEN,
            token_env="SCOOTERS_OPS_HTTP_TOKEN",
        )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://board",
            headers={"Authorization": f"Bearer {TOKEN}"},
        ) as client:
            board = await client.get("/board")
            assert board.status_code == 200, board.text
            assert name in board.text
            mission = await client.get(url_of("board", "missions", mission_id))
            assert mission.status_code == 200, mission.text
            assert "20 min" in mission.text
            metrics_page = await client.get("/metrics")
            assert "scooters_ops_database_up 1.0" in metrics_page.text
            assert 'scooters_ops_notifications_total{type="job_skipped"}' in metrics_page.text
            assert (await client.get("/readyz")).json()["problems"] == []
            again = await client.post(skip_url(mission_id, "p2", "j1"))
            assert again.json() == {"skipped": False}
            event = {"type": "point_completed", "point_id": "p1"}
            occurred_at = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
            done = await client.post(
                url_of("v1", "missions", mission_id, "events"),
                json=event | {"occurred_at": occurred_at},
            )
            assert done.status_code == 201, done.text


@pytest.mark.parametrize("scope", ["database", "role"])
@pytest.mark.parametrize("combination", SETTINGS)
def test_no_setting_of_the_database_or_the_role_changes_what_is_noticed_and_sent(
    house: House, combination: str, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", make_conninfo(house.database.conninfo, user=LOGIN))
    with set_for(house, scope, SETTINGS[combination]):
        mission_id = journey(house)
        house.run_once()
        asyncio.run(assert_readable(house, mission_id))
    assert_noticed(house, mission_id)
    assert_arrived(house)


def test_every_setting_that_may_change_a_result_is_tried_or_excluded_for_a_reason(
    house: House,
) -> None:
    """If a new version of PostgreSQL has others, add them to one of the lists."""
    known = {name for settings in SETTINGS.values() for name in settings} | set(EXCLUDED)
    assert [
        name
        for name in house.database.values(
            "select name from pg_settings where context = 'user' and name !~ '^vacuum_'"
            " and category ~ '^(Client Connection Defaults|Version and Platform|Error Handling)'"
            " order by name"
        )
        if name not in known
    ] == []


def test_the_programs_environment_does_not_change_what_is_read_and_written(house: House) -> None:
    mission_id = journey(house)
    ran = house.process("run", "--once", **CLIENT_SETTINGS)
    assert ran.returncode == 0, ran.stderr
    shown = house.process("status", **CLIENT_SETTINGS)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert_noticed(house, mission_id)
    assert_arrived(house)


def test_the_programs_own_settings_end_with_each_transaction(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the next client of a pooler that gets this session finds none of them."""
    names = ("search_path", "DateStyle", "IntervalStyle", "TimeZone", "jit", "statement_timeout")

    async def left() -> dict[str, Any]:
        database = await Database.connect(30)
        try:
            during = await database.rows(
                f"select {', '.join(f'current_setting({n!r}) as {n}' for n in names)}"
            )
            assert during[0]["intervalstyle"] == "postgres"
            assert during[0]["statement_timeout"] == "30s"
            with pytest.raises(psycopg.errors.DivisionByZero):
                await database.rows("select 1 / 0")
            cursor = await database.connection.execute(
                "select name, setting from pg_settings where source = 'session'"
                " and name not in ('client_encoding', 'application_name')"
            )
            return dict(await cursor.fetchall())
        finally:
            await database.close()

    monkeypatch.setenv("DATABASE_URL", make_conninfo(house.database.conninfo, user=LOGIN))
    with set_for(house, "database", SETTINGS["how values are written"]):
        # Set only because there is no pooler: the session is its own.
        assert asyncio.run(left()) == {"idle_session_timeout": "0"}


def test_a_statement_timeout_of_the_role_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def present() -> str:
        database = await Database.connect(30)
        try:
            (row,) = await database.rows("select current_setting('statement_timeout') as it")
            return str(row["it"])
        finally:
            await database.close()

    monkeypatch.setenv("DATABASE_URL", make_conninfo(house.database.conninfo, user=LOGIN))
    with set_for(house, "role", {"statement_timeout": "7s"}):
        assert asyncio.run(present()) == "7s"


def test_times_and_durations_that_python_cannot_hold_become_the_nearest_it_can(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> dict[str, Any]:
        database = await Database.connect(30)
        try:
            (row,) = await database.rows(
                "select timestamptz 'infinity' as last, timestamptz '-infinity' as first,"
                " timestamptz '294276-01-01' as late, interval '178000000 years' as long,"
                " interval '-178000000 years' as past,"
                " interval '1 month 2 days -03:00:00.5' as mixed,"
                " timestamptz '2026-03-29 02:30:00.000001+00' as exact,"
                " 'job_skipped'::scooters_ops.monitoring_notification_type as kind"
            )
            return row
        finally:
            await database.close()

    monkeypatch.setenv("DATABASE_URL", house.database.conninfo)
    row = asyncio.run(read())
    assert row["last"] == row["late"] == datetime.max.replace(tzinfo=UTC)
    assert row["first"] == datetime.min.replace(tzinfo=UTC)
    assert (row["long"], row["past"]) == (timedelta.max, timedelta.min)
    assert row["mixed"] == timedelta(days=32, hours=-3, milliseconds=-500)
    assert row["exact"] == datetime(2026, 3, 29, 2, 30, 0, 1, tzinfo=UTC)
    assert row["kind"] == "job_skipped"


# --- A database with another encoding ----------------------------------------------------------


@pytest.fixture(scope="module")
def russian_house(cluster: Postgres) -> Iterator[House]:
    """A database in WIN1251, migrated and configured."""
    name = "test_win1251"
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} encoding 'WIN1251' locale 'C' template template0")
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DATABASE_URL", cluster.conninfo(name))
                migrate()
            with psycopg.connect(
                cluster.conninfo(name), autocommit=True, client_encoding="UTF8"
            ) as connection:
                connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(CONFIG),))
                with make_house(TestDatabase(cluster, name, connection)) as house:
                    prepare(house)
                    yield house
        finally:
            admin.execute(f"drop database {name} with (force)")


def test_cyrillic_travels_through_a_database_in_win1251(
    russian_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = russian_house
    monkeypatch.setenv("DATABASE_URL", make_conninfo(house.database.conninfo, user=LOGIN))
    house.configure(TELEGRAM, TICKET, notifier__locale="ru")
    mission_id = journey(house, RUSSIAN)
    house.run_once()
    asyncio.run(assert_readable(house, mission_id, RUSSIAN))
    assert_noticed(house, mission_id)
    assert_arrived(house, RUSSIAN)


def test_text_that_a_win1251_database_cannot_hold_is_refused_on_input(
    russian_house: House,
) -> None:
    with pytest.raises(psycopg.errors.UntranslatableCharacter, match="WIN1251"):
        journey(russian_house, NAME)


def test_a_servers_error_is_recorded_even_if_the_database_cannot_hold_it(
    russian_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = russian_house
    house.configure(TELEGRAM)
    monkeypatch.setenv("DATABASE_URL", make_conninfo(house.database.conninfo, user=LOGIN))
    house.telegram.script(house.telegram.refusal(403, "Forbidden: 🛴 and \x00 and \ud800"))
    house.skip("m-refused")
    house.run_once()
    (error,) = house.database.values(
        "select last_error from scooters_ops.notification_deliveries where mission_id = 'm-refused'"
    )
    assert "Forbidden: \\U0001f6f4 and" in error

    # Leave nothing to the other tests, which share the database.
    house.database.value("select scooters_ops.retry_deliveries()")
    house.run_once()
    assert house.is_sent()
    del house.telegram.messages[-1]
