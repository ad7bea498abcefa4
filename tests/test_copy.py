"""sql/maintenance/silence_copy.sql: a copy of a busy database sends no messages."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from notifier.resources import ROOT
from tests.conftest import TestDatabase
from tests.delivery_rigs import LOST_GROUP, SECRETS, TELEGRAM, TICKET, House, make_house

pytestmark = pytest.mark.slow

NAME = "copy_of_house"
UNSENT = "select count(*) from scooters_ops.notification_recipients where state <> 'sent'"


@pytest.fixture
def house(database: TestDatabase) -> Iterator[House]:
    """A database with unsent recipients of all kinds (new, failed, retrying) and a late courier."""
    with make_house(database) as house:
        house.configure(TELEGRAM, {"type": "telegram", "chat_id": LOST_GROUP})
        house.skip("m-failed")
        house.cli("run", "--once")
        house.configure(TELEGRAM, TICKET)
        with house.telegram.down(), house.tracker.down():
            house.skip("m-retrying")
            house.cli("run", "--once")
        house.skip("m-new")
        database.create_mission("m-late")
        database.value(
            "select scooters_ops.record_event("
            "'m-late', 'mission_started', null, now() - interval '1 hour')"
        )
        yield house


@pytest.fixture
def copy(house: House) -> Iterator[House]:
    """The database restored from a dump, with the same channels."""
    cluster = house.database.cluster
    environment = cluster.environment(NAME)
    with psycopg.connect(cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {NAME}".encode())
        try:
            subprocess.run(
                ["sh", "-c", f"pg_dump -Fc {house.database.name} | pg_restore -e -d {NAME}"],
                env=environment,
                check=True,
            )
            with psycopg.connect(cluster.conninfo(NAME), autocommit=True) as connection:
                yield replace(house, database=TestDatabase(cluster, NAME, connection))
        finally:
            admin.execute(f"drop database {NAME} with (force)".encode())


def silence(house: House, copy: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "psql",
            "-X",
            "-v",
            f"copy={copy}",
            "-f",
            ROOT / "sql" / "maintenance" / "silence_copy.sql",
        ],
        env=house.database.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def calls(house: House) -> int:
    """How many requests production's Telegram and Tracker received."""
    return len(house.telegram.calls) + len(house.tracker.calls)


def deliver_everything(house: House) -> None:
    """Runs detection, retries what failed and runs a notifier with production's tokens."""
    house.skip("m-after")
    house.database.value("select scooters_ops.detect_timeouts()")
    house.make_due()
    assert house.cli("retry", "--failed").returncode == 0
    assert house.cli("run", "--once", **SECRETS).returncode == 0


def test_a_silenced_copy_sends_nothing_with_productions_tokens(house: House, copy: House) -> None:
    silenced = silence(copy, NAME)
    assert silenced.returncode == 0, silenced.stderr
    before = calls(house)
    deliver_everything(copy)
    assert calls(house) == before
    assert "m-late_p1__timeout_between_points" in copy.database.tokens()


def test_a_copy_that_was_not_silenced_sends(house: House, copy: House) -> None:
    before = calls(house)
    deliver_everything(copy)
    assert calls(house) > before


def test_a_database_that_is_not_the_named_copy_is_not_changed(house: House) -> None:
    everything = "select count(*), max(config_id) from scooters_ops.configs"
    before = house.database.rows(everything), house.database.value(UNSENT)
    refused = silence(house, NAME)
    assert refused.returncode == 3
    assert f'this is database "{house.database.name}", not the copy' in refused.stderr
    assert (house.database.rows(everything), house.database.value(UNSENT)) == before
    assert before[1] > 0
