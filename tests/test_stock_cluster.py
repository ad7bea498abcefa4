"""The README's commands on a cluster as Debian creates it: TCP connections need a password, socket
connections need the operating system's account of that name, and nobody chose an encoding. pg_cron
is in the database postgres, and our schema in another one.

pg_cron before 1.5 starts jobs at full minutes, so all tests here wait for the same one.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from notifier.resources import ROOT
from sandbox.postgres import SUPERUSER, Postgres
from tests.conftest import config, until
from tests.pages import DOCS, blocks, section

pytestmark = pytest.mark.slow(seconds=65)

PASSWORD = "s3cret"
SETTINGS, OWNER_SQL, _COMMANDS = (
    block.text for block in blocks(section(DOCS / "dba.md", "## Set it up"))
)
COMMANDS = _COMMANDS.splitlines()
OWNER_PASSWORD = "change me"
WORKERS = "cron.use_background_workers"


class StockPostgres(Postgres):
    """pg_hba.conf is Debian's, and postgresql.conf also has the lines of the README."""

    def __init__(self, settings: str) -> None:
        super().__init__(cron_database=None, server_settings={"jit": "on"})
        self._lines = settings

    def initdb_options(self) -> list[str]:
        password = Path(self.base_dir, "password")
        password.write_text(PASSWORD)
        password.chmod(0o644)  # nobody else can enter its folder
        trust = ["--auth-local=peer", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        # As Debian's scripts do if no locale is set, for example in a container.
        return [*trust, "--encoding=SQL_ASCII", "--locale=C"]

    def initialize_database(self) -> None:
        super().initialize_database()
        with open(Path(self.get_data_directory(), "postgresql.conf"), "a") as file:
            file.write(f"\n{self._lines}\n")

    def is_server_available(self) -> bool:
        try:
            psycopg.connect(self.conninfo("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def poststart(self) -> None:
        pass

    def conninfo(
        self, dbname: str = "postgres", user: str = SUPERUSER, password: str = PASSWORD
    ) -> str:
        return make_conninfo(super().conninfo(dbname), user=user, password=password)


@dataclass(frozen=True)
class Outcome:
    """A command's exit code and output."""

    exit_code: int
    output: str


def run(command: str, conninfo: str, **variables: str) -> Outcome:
    others = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    finished = subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        env=others | {"DATABASE_URL": conninfo} | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Outcome(finished.returncode, finished.stdout)


def run_all(conninfo: str) -> dict[str, Outcome]:
    """Runs all commands after make migrate, even if one fails."""
    return {command: run(command, conninfo) for command in COMMANDS[1:]}


@dataclass(frozen=True)
class World:
    """A cluster with the README's settings, and the outcomes of the README's commands."""

    stock: StockPostgres
    owner: dict[str, Outcome]
    superuser: dict[str, Outcome]
    rare: dict[str, Outcome]
    """With a schedule that runs nothing for hours."""
    untold: dict[str, Outcome]
    """On a cluster without background workers."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    rare_config = tmp_path_factory.mktemp("rare") / "config.json"
    rare_config.write_text(json.dumps(config(detection__schedule="0 3 * * *")))
    without_workers = [line for line in SETTINGS.splitlines() if WORKERS not in line]
    with (
        StockPostgres(SETTINGS) as stock,
        StockPostgres("\n".join(without_workers)) as untold,
        ThreadPoolExecutor() as pool,
    ):
        finished = subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", stock.conninfo()],
            input=OWNER_SQL,
            text=True,
            check=False,
        )
        assert finished.returncode == 0
        for server, name in ((stock, "super"), (stock, "rare"), (untold, "untold")):
            with psycopg.connect(server.conninfo(), autocommit=True) as admin:
                admin.execute(f"create database {name} encoding 'UTF8' template template0".encode())
        users = {
            stock.conninfo("scooters", "scooters", OWNER_PASSWORD): {},
            stock.conninfo("super"): {},
            stock.conninfo("rare"): {"CONFIG": str(rare_config)},
            untold.conninfo("untold"): {},
        }
        for conninfo, variables in users.items():
            migrated = run(COMMANDS[0], conninfo, **variables)
            assert migrated.exit_code == 0, migrated.output
        yield World(stock, *pool.map(run_all, users))


def value(conninfo: str, query: str) -> Any:
    with psycopg.connect(conninfo, client_encoding="UTF8") as connection:
        (found,) = connection.execute(query.encode()).fetchone() or (None,)
    return found


def test_the_readme_has_these_commands_and_its_owner_is_not_a_superuser() -> None:
    assert COMMANDS == ["make migrate", "make schedule", "make status"]
    assert WORKERS in SETTINGS
    assert "superuser" not in OWNER_SQL


@pytest.mark.parametrize(
    ("who", "user"), [("owner", "scooters"), ("superuser", SUPERUSER)], ids=["owner", "superuser"]
)
def test_the_readmes_commands_end_in_a_running_detection(world: World, who: str, user: str) -> None:
    database = "scooters" if who == "owner" else "super"
    schedule, status = getattr(world, who).values()
    assert schedule.exit_code == 0, schedule.output
    assert "Passes run." in schedule.output
    assert status.exit_code == 0, status.output
    assert "Detection: last pass" in status.output
    assert status.output.endswith("Nothing needs a person.\n")
    runs = (
        "select count(*) from cron.job_run_details where status in ('running', 'succeeded')"
        f" and database = '{database}' and username = '{user}'"
    )
    assert value(world.stock.conninfo(), runs) > 0
    # A background worker commits within the run of one minute.
    passes = "select count(*) from scooters_ops.detection_passes"
    until(lambda: value(world.stock.conninfo(database), passes) >= 2)


def test_the_owner_may_run_what_the_other_jobs_run(world: World) -> None:
    """They run at their own times; the test does not wait for them."""
    jobs = (
        "select array_agg(array[database, command] order by jobname) from cron.job"
        " where jobname like 'scooters_ops_prune%'"
    )
    owner = {"user": "scooters", "password": OWNER_PASSWORD}
    found = value(world.stock.conninfo("postgres", **owner), jobs)
    assert [database for database, _ in found] == ["scooters", "postgres"]
    for database, command in found:
        conninfo = world.stock.conninfo(database, **owner)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(command.encode())


def test_a_daily_schedule_is_tried_at_once_by_a_temporary_job(world: World) -> None:
    schedule, status = world.rare.values()
    assert schedule.exit_code == 0, schedule.output
    assert "scooters_ops_first_run@rare" in schedule.output
    assert "Passes run." in schedule.output
    assert status.exit_code == 0, status.output
    jobs = "select array_agg(jobname::text order by 1) from cron.job where jobname like '%@rare'"
    assert value(world.stock.conninfo(), jobs) == [
        "scooters_ops_detect@rare",
        "scooters_ops_prune@rare",
        "scooters_ops_prune_runs@rare",
    ]


def test_without_background_workers_schedule_and_status_say_what_to_do(
    world: World,
) -> None:
    for outcome in world.untold.values():
        assert outcome.exit_code == 2, outcome.output  # make's
        assert (
            "The last run of job scooters_ops_detect@untold failed: connection failed. pg_cron"
            " could not connect to localhost"
        ) in outcome.output
        assert f"Set {WORKERS} = on and restart PostgreSQL." in outcome.output
        assert "Nothing needs a person" not in outcome.output
