"""Programs of this version keep working after the database is upgraded to the next version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from notifier.database.statements import Database
from notifier.status import report
from notifier.status.snapshot import Status
from sandbox.standins import late
from tests.conftest import TestDatabase, until
from tests.delivery_rigs import TELEGRAM, House, make_house
from tests.http_rigs import HttpProcess, end_sessions, http_process, http_user, url_of

pytestmark = pytest.mark.slow

VIEWS = (
    *("config_in_force", "delivery_status", "recipient_status", "delivery_holds"),
    *("notifier_status", "detection_status", "input_status", "notifications", "metrics"),
)


@pytest.fixture
def house(database: TestDatabase) -> Iterator[House]:
    with make_house(database) as house:
        yield house


def upgrade(database: TestDatabase) -> None:
    """Changes the database as the next version may: a new notification type, columns at the end of
    views and results, new metrics and labels, a new migration."""
    own = database.connection
    own.execute("alter type scooters_ops.monitoring_notification_type add value 'started_late'")
    for view in VIEWS:
        definition = database.value("select pg_get_viewdef(%s::regclass)", f"scooters_ops.{view}")
        own.execute(
            f"create or replace view scooters_ops.{view} as"
            f" select known.*, 'new' as of_tomorrow from ({definition.rstrip(';')}) as known"
        )
    definition = database.value("select pg_get_viewdef('scooters_ops.metrics'::regclass)")
    own.execute(
        f"create or replace view scooters_ops.metrics as {definition.rstrip(';')}"
        " union all select 'of_tomorrow', '{}', 1, 'A new metric.', 'new'"
        " union all select 'notifiers', '{\"state\": \"alive\", \"shard\": \"7\"}', 5, '', 'new'"
    )
    columns = database.value(
        "select pg_get_function_result(%s::regprocedure)",
        "scooters_ops.lease_deliveries(text, jsonb, double precision, jsonb, text[])",
    )
    own.execute(
        f"""
        alter function scooters_ops.lease_deliveries(text, jsonb, double precision, jsonb, text[])
        rename to lease_deliveries_of_today;
        create function scooters_ops.lease_deliveries(
            worker text,
            slots jsonb,
            lease_seconds double precision,
            follow_up_slots jsonb default null,
            digest_channels text[] default '{{}}'
        )
        returns {columns.removesuffix(")")}, of_tomorrow text)
        language sql
        security definer
        begin atomic
            select leased.*, 'new'
            from scooters_ops.lease_deliveries_of_today($1, $2, $3, $4, $5) as leased;
        end;
        grant execute on function
        scooters_ops.lease_deliveries(text, jsonb, double precision, jsonb, text[])
        to scooters_ops_notifier;
        insert into scooters_ops._yoyo_migration (migration_hash, migration_id)
        values ('9', '9999_of_tomorrow');
        """
    )


def insert_notification_of_unknown_type(database: TestDatabase) -> None:
    database.create_mission("m-new", 1)
    database.connection.execute(
        "insert into scooters_ops.monitoring_notifications"
        " (idempotency_token, mission_id, type, details)"
        " values ('m-new___started_late', 'm-new', 'started_late',"
        """ '{"performer_id": "c1", "attributes": {}, "started_at": "after a while","""
        """ "factor": "much", "limit_seconds": [1, 2]}')"""
    )


def missions_reported(house: House) -> set[str]:
    return set(
        house.database.values(
            "select mission_id from scooters_ops.notification_deliveries where sended"
        )
    )


def assert_shows_all(serving: HttpProcess) -> None:
    def shows(path: str) -> bool:
        page = serving.client.get(path)
        assert page.status_code == 200, page.text
        return "started_late" in page.text

    until(lambda: shows("/board"))  # answers are cached for some seconds
    until(lambda: shows(url_of("board", "missions", "m-new")))
    until(lambda: shows("/board?type=started_late"))
    metrics = serving.client.get("/metrics").text
    assert "scooters_ops_database_up 1.0" in metrics
    assert "scooters_ops_of_tomorrow 1.0" in metrics
    assert 'scooters_ops_notifiers{shard="",state="alive"}' in metrics
    assert 'scooters_ops_notifiers{shard="7",state="alive"} 5.0' in metrics


def test_programs_keep_working_after_a_newer_version_migrated_the_database(house: House) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=1)
    database = house.database
    with http_user(database) as environment, http_process(environment, "run") as running:
        house.skip("m-before")
        until(house.is_sent)
        assert running.client.get("/board").status_code == 200
        upgrade(database)
        insert_notification_of_unknown_type(database)
        house.database.create_mission("m-after", 1)
        assert running.skip("m-after", "p1", "j1").json() == {"skipped": True}
        until(lambda: {"m-before", "m-after"} <= missions_reported(house))
        assert_shows_all(running)
        assert running.stop() == 0
    assert " bug " not in running.log


def test_the_http_api_connects_to_a_database_that_a_newer_version_migrated(house: House) -> None:
    """During an upgrade the mission service must not wait until this process is upgraded too."""
    database = house.database
    with http_user(database) as environment, http_process(environment) as serving:
        upgrade(database)
        end_sessions(database)
        insert_notification_of_unknown_type(database)
        assert serving.skip("m-new", "p1", "j1").json() == {"skipped": True}
        assert_shows_all(serving)
        # A database that lacks a migration is refused.
        database.connection.execute("delete from scooters_ops._yoyo_migration")
        end_sessions(database)
        assert serving.skip("m-new", "p1", "j1").status_code == 503


def test_status_reads_a_newer_versions_views(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.configure(TELEGRAM)
    upgrade(house.database)
    house.skip()
    insert_notification_of_unknown_type(house.database)
    monkeypatch.setenv("DATABASE_URL", house.conninfo)

    async def read() -> Status:
        database = await Database.connect(30)
        try:
            assert await database.notification("m-new___started_late") is not None
            assert await database.config() is not None
            return await Status.read(database)
        finally:
            await database.close()

    found = asyncio.run(read())
    assert [(row.state, row.recipients) for row in found.deliveries] == [("unplanned", 2)]
    assert json.dumps(report.document(found))


def test_a_notifier_that_cannot_continue_records_what_it_sent_logs_why_and_exits_2(
    house: House,
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=1)
    house.telegram.script(late(3))
    with http_user(house.database) as environment, http_process(environment, "run") as running:
        house.skip()
        until(lambda: bool(house.telegram.messages))
        upgrade(house.database)
        house.cut_connections()
        until(lambda: running.process.poll() is not None)
        assert running.stop() == 2
    assert house.is_sent()
    assert len(house.telegram.messages) == 1
    assert house.database.values("select name from scooters_ops.notifier_status") == []
    (line,) = [line for line in running.lines if " cannot_go_on " in line]
    assert " ERROR cannot_go_on reason=" in line
    assert "a newer version migrated it (9999_of_tomorrow): update this program" in line
    assert running.lines[-1].startswith("notifier: database ")
