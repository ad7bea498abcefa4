"""Logical replication: a publication of all tables blocks nobody, and detection can find rows that
a subscription writes without firing triggers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from notifier.migrate import migrate
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, TestDatabase, at, until
from tests.test_partitioning import partition

pytestmark = pytest.mark.slow

WITHOUT_IDENTITY = """
select format('%I', relname)
from pg_class
where
    relnamespace = 'scooters_ops'::regnamespace
    and relkind in ('r', 'p')
    and not (
        relreplident = 'f'
        or (
            relreplident = 'd'
            and exists (select from pg_index where indrelid = pg_class.oid and indisprimary)
        )
    )
"""
MISSED = "select unrecorded_missions from scooters_ops.detection_status"
DIFFERENCE = "select idempotency_token from scooters_ops.unnoticed_timeouts order by 1"


class LogicalPostgres(Postgres):
    """A server with wal_level = logical."""

    def get_server_commandline(self) -> list[str]:
        return [*super().get_server_commandline(), "-c", "wal_level=logical"]


@contextmanager
def migrated(server: Postgres, name: str) -> Iterator[TestDatabase]:
    """A migrated database on that server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", server.conninfo(name))
        migrate()
    with psycopg.connect(server.conninfo(name), autocommit=True) as connection:
        connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(CONFIG),))
        yield TestDatabase(server, name, connection)


@pytest.fixture(scope="module")
def publishing() -> Iterator[TestDatabase]:
    """A migrated database with a publication of all tables."""
    with LogicalPostgres(cron_database=None) as server, migrated(server, "test") as database:
        database.connection.execute("create publication everything for all tables")
        yield database


def test_every_table_has_a_replica_identity(database: TestDatabase) -> None:
    assert database.values(WITHOUT_IDENTITY) == []


def test_a_publication_of_all_tables_blocks_nobody(
    publishing: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes, planning, delivery, pruning, the mission service and an upgrade."""
    database = publishing
    database.apply_config(
        detection__batch_size=1,
        detection__notify_within_seconds=1,
        retention__notifications_seconds=1,
        retention__intervals_seconds=1,
        channels__telegram__limits=None,
    )
    database.create_mission()
    record = "select scooters_ops.record_event_once('m1', 'mission_started', null, null, 'k1')"
    assert database.value(record) == database.value(record)
    assert database.value("select scooters_ops.skip_job('m1', 'p2', 'j1')")
    database.connection.execute("call scooters_ops.detect_in_batches()")
    for type_ in ("a", "b"):
        assert database.value("select scooters_ops.plan_deliveries(10)") == (type_ == "a")
        database.connection.execute(
            "insert into scooters_ops.monitoring_notifications"
            " (idempotency_token, mission_id, type) values (%s, 'm1', 'job_skipped')",
            (type_,),
        )
        database.value("select scooters_ops.plan_deliveries(10)")
    database.value("select scooters_ops.report_notifier('n1', 1, '0001')")
    leased = database.values(
        "select recipient_id from scooters_ops.lease_deliveries('n1', '{\"telegram\": 9}', 60)"
    )
    assert len(leased) == 3
    results = [
        {"recipient_id": id_, "state": "sent", "is_attempt": True, "delay_seconds": 0}
        for id_ in leased
    ]
    assert (
        database.value("select scooters_ops.record_deliveries('n1', %s)", json.dumps(results)) == 3
    )
    database.value("select scooters_ops.retire_notifier('n1')")
    database.value("select scooters_ops.record_event('m1', 'mission_completed')")
    until(
        lambda: database.value(
            "select max(occurred_at) < now() - interval '2 seconds'"
            " from scooters_ops.missions_history"
        )
    )
    database.connection.execute("call scooters_ops.detect_in_batches()")
    database.connection.execute("call scooters_ops.prune_in_batches()")
    assert database.tokens() == []
    database.connection.execute("delete from scooters_ops.missions_history")
    database.connection.execute("delete from scooters_ops.missions")
    monkeypatch.setenv("DATABASE_URL", database.conninfo)
    migrate()


def test_partitioned_history_is_published_too(publishing: TestDatabase) -> None:
    database = publishing
    database.create_mission("m9")
    database.record("mission_started", 0, mission_id="m9")
    # An event from a clock that runs ahead moves from the default part to its month.
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, type, occurred_at)"
        " values ('m9', 'note', now() + interval '40 days')"
    )
    for _ in ("the first time", "each month"):
        partition(database)
    assert database.value("select relkind from pg_class where relname = 'missions_history'") == "p"
    assert database.values(WITHOUT_IDENTITY) == []
    database.connection.execute(
        "update scooters_ops.missions_history set occurred_at = occurred_at + interval '1 s'"
    )
    database.connection.execute("delete from scooters_ops.missions_history")


# --- Rows that fire no triggers -----------------------------------------------------------------


def arrive_unseen(database: TestDatabase, minutes: float, mission_id: str = "m1") -> None:
    """Inserts a mission that started `minutes` ago, as a subscription would: no trigger fires."""
    with database.connection.transaction():
        database.connection.execute("set local session_replication_role = replica")
        database.create_mission(mission_id)
        database.connection.execute(
            "insert into scooters_ops.missions_history (mission_id, type, occurred_at)"
            " values (%s, 'mission_started', now() - make_interval(mins => %s))",
            (mission_id, minutes),
        )


def test_unnoticed_timeouts_shows_rows_that_fired_no_trigger_until_they_are_woken(
    database: TestDatabase,
) -> None:
    arrive_unseen(database, 20)
    assert database.value("select scooters_ops.detect_timeouts()") == 0
    assert database.values(DIFFERENCE) == ["m1_p1__timeout_between_points"]
    assert database.value("select scooters_ops.wake_missions('{m1, m1, unknown, null}')") == 1
    assert database.values(DIFFERENCE) == []  # the next pass looks at it
    assert database.value("select scooters_ops.detect_timeouts()") == 1
    assert database.values(DIFFERENCE) == []
    assert database.tokens() == ["m1_p1__timeout_between_points"]


def test_a_window_wakes_the_missions_with_events_in_it_or_created_in_it(
    database: TestDatabase,
) -> None:
    for mission_id, minutes in (("m1", 60), ("m2", 40), ("m3", 20)):
        arrive_unseen(database, minutes, mission_id)
    database.connection.execute("set session_replication_role = replica")
    database.connection.execute(
        "update scooters_ops.missions set created_at = case mission_id"
        " when 'm1' then now() - interval '45 min' else now() - interval '90 min' end"
    )
    database.connection.execute("set session_replication_role = origin")

    def woken(since: int, until: int) -> list[str]:
        counted = database.value(
            "select scooters_ops.wake_missions(now() - make_interval(mins => %s),"
            " now() - make_interval(mins => %s))",
            since,
            until,
        )
        missions = database.values(
            "with taken as (delete from scooters_ops.mission_wakeups returning mission_id)"
            " select mission_id from taken order by 1"
        )
        assert counted == len(missions)
        return missions

    assert woken(50, 30) == ["m1", "m2"]
    assert woken(30, 10) == ["m3"]
    assert woken(10, 0) == []
    assert database.value("select scooters_ops.wake_missions('-infinity', 'infinity')") == 3
    assert database.value("select scooters_ops.detect_timeouts()") == 3


@pytest.mark.parametrize("window", ["null, now()", "now(), null"])
def test_a_window_without_an_end_is_refused(database: TestDatabase, window: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="since and until"):
        database.value(f"select scooters_ops.wake_missions({window})")


def test_the_window_includes_its_start_and_excludes_its_end(database: TestDatabase) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.connection.execute("update scooters_ops.missions set created_at = '2020-01-01'")
    query = "select scooters_ops.wake_missions(%s, %s)"
    assert database.value(query, at(0), at(1)) == 1
    assert database.value(query, at(-1), at(0)) == 0


def test_unnoticed_timeouts_leaves_out_what_is_not_news_or_is_disabled(
    database: TestDatabase,
) -> None:
    database.apply_config(detection__notify_within_seconds=3600)
    arrive_unseen(database, 300)
    assert database.values(DIFFERENCE) == []
    database.apply_config(detection__notify_within_seconds=86400)
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    assert database.values(DIFFERENCE) == ["m1_p1__timeout_between_points"]
    # A closed interval is included as long as it is news.
    database.connection.execute("set session_replication_role = replica")
    database.value("select scooters_ops.record_event('m1', 'mission_completed')")
    database.connection.execute("set session_replication_role = origin")
    assert database.values(DIFFERENCE) == ["m1_p1__timeout_between_points"]
    database.apply_config(detection__timeouts__timeout_between_points__enabled=False)
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    assert database.values(DIFFERENCE) == []
    database.apply_config(detection__enabled=False)
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    assert database.values(DIFFERENCE) == []


def test_unnoticed_timeouts_leaves_out_what_was_judged_in_time_by_an_earlier_config(
    database: TestDatabase,
) -> None:
    database.create_mission()
    for type_, minutes in (("mission_started", 40), ("point_arrived", 30)):
        database.value(
            "select scooters_ops.record_event('m1', %s, case %s when 'point_arrived' then 'p1' end,"
            " now() - make_interval(mins => %s))",
            type_,
            type_,
            minutes,
        )
    assert database.value("select scooters_ops.detect_timeouts()") == 1  # the stay at p1
    database.apply_config(detection__timeouts__timeout_between_points__factor=0.5)
    assert database.value("select scooters_ops.detect_timeouts()") == 0
    assert len(database.rows("select from scooters_ops.mission_timeouts")) == 2
    assert database.values(DIFFERENCE) == []


def test_the_status_finds_missions_whose_rows_fired_no_trigger(database: TestDatabase) -> None:
    for number in range(20):
        database.create_mission(f"n{number}")
    database.value("select scooters_ops.detect_timeouts()")
    assert database.value(MISSED) == []
    arrive_unseen(database, 1)
    assert database.value(MISSED) == ["m1"]
    database.value("select scooters_ops.wake_missions('{m1}')")
    assert database.value(MISSED) == []  # the next pass records it
    database.value("select scooters_ops.detect_timeouts()")
    assert database.value(MISSED) == []


@pytest.mark.parametrize(
    "damage",
    [
        "delete from scooters_ops.recorded_intervals",
        "update scooters_ops.recorded_intervals set point_id = 'p2' where finished_at is null",
        "update scooters_ops.recorded_intervals set started_at = started_at - interval '1 s'",
        "update scooters_ops.recorded_intervals set time_limit = '1 h' where finished_at is null",
        "update scooters_ops.recorded_intervals set finished_at = null",
        "insert into scooters_ops.recorded_intervals"
        " (mission_id, type, is_judged, from_point_id, point_id, started_at)"
        " values ('m1', 'timeout_in_point', true, 'p3', 'p3', now())",
    ],
)
def test_the_status_finds_recorded_intervals_that_somebody_changed(
    database: TestDatabase, damage: str
) -> None:
    database.create_mission()
    database.record("mission_started", 0)
    database.record("point_arrived", 10, "p1")
    database.detect(11)
    assert database.value(MISSED) == []
    database.connection.execute(
        "update scooters_ops.recorded_intervals set time_limit = '1 h'"
        " where finished_at is not null"
    )
    assert database.value(MISSED) == []  # a closed one keeps its own judgement
    database.connection.execute(damage)
    assert database.value(MISSED) == ["m1"]


def test_in_time_the_status_checks_each_mission_under_way(database: TestDatabase) -> None:
    """Also where most missions are finished."""
    database.connection.execute(
        "insert into scooters_ops.missions (mission_id, performer_id, status)"
        " select 'm' || i, 'c1', case when i % 30 = 0 then 'active' else 'completed' end"
        " from generate_series(1, 30000) as i"
    )
    database.connection.execute("delete from scooters_ops.mission_wakeups")
    seen: set[str] = set()
    for _ in range(600):  # chance alone would miss one in a thousand million runs
        sample = database.value("select scooters_ops.sampled_missions(50)")
        assert 0 < len(sample) <= 50
        assert all(int(mission_id[1:]) % 30 == 0 for mission_id in sample)
        seen |= set(sample)
        if len(seen) == 1000:
            break
    assert len(seen) == 1000


def test_a_subscription_fires_no_trigger_of_ours_even_one_that_is_enabled_always(
    publishing: TestDatabase,
) -> None:
    """docs/dba.md says so to DBAs: only a regular wake_missions() helps."""
    server = publishing.cluster
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as publisher:
        publisher.execute("create schema scooters_ops")
        publisher.execute(
            "create table scooters_ops.missions_history (history_id bigint primary key,"
            " mission_id text, point_id text, type text, occurred_at timestamptz)"
        )
        publisher.execute("create publication history for table scooters_ops.missions_history")
        publisher.execute("select pg_create_logical_replication_slot('history', 'pgoutput')")
        publisher.execute("create database subscriber")
        with migrated(server, "subscriber") as database:
            database.connection.execute(
                "alter table scooters_ops.missions_history enable always trigger"
                " wake_for_inserted_history"
            )
            database.create_mission()
            database.value("select scooters_ops.detect_timeouts()")
            database.connection.execute(
                "create subscription history connection"
                f" '{server.conninfo('postgres')}' publication history"
                " with (create_slot = false, slot_name = 'history', copy_data = false)"
            )
            publisher.execute(
                "insert into scooters_ops.missions_history values"
                " (1000, 'm1', null, 'mission_started', now() - interval '20 min')"
            )
            until(lambda: database.value("select count(*) from scooters_ops.missions_history"))
            assert database.value("select scooters_ops.detect_timeouts()") == 0
            assert database.values(DIFFERENCE) == ["m1_p1__timeout_between_points"]
            assert (
                database.value(
                    "select scooters_ops.wake_missions(now() - interval '1 hour', now())"
                )
                == 1
            )
            assert database.value("select scooters_ops.detect_timeouts()") == 1
            database.connection.execute("drop subscription history")
