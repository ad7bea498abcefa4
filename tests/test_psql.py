"""How `make` and the command line start psql: no secret in its arguments, and every other option of
the connection string."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shutil import which

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from notifier.database.errors import DatabaseUnusable
from notifier.psql import Psql
from notifier.resources import ROOT
from tests.conftest import TestDatabase
from tests.delivery_rigs import command

pytestmark = pytest.mark.slow

PASSWORD = "pa55 'w\\ord"


def url(database: TestDatabase) -> str:
    return make_conninfo(
        database.conninfo, password=PASSWORD, keepalives_idle="77", options="-c work_mem=7MB"
    )


def test_no_make_target_puts_the_password_into_psqls_arguments(
    database: TestDatabase, tmp_path: Path
) -> None:
    """Here psql is a script that writes down its arguments, which every user can read, and runs the
    real one."""
    seen = tmp_path / "arguments"
    wrapper = tmp_path / "psql"
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{seen}\nexec {which("psql")} "$@"\n')
    wrapper.chmod(0o755)
    environment = database.environment | {
        "DATABASE_URL": url(database),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "WAIT": "0",
    }
    try:
        for target in ("schedule", "status", "psql", "unschedule"):
            seen.write_text("")
            finished = subprocess.run(
                ["make", target],
                cwd=ROOT,
                env=environment,
                input="show work_mem; select current_database();",
                capture_output=True,
                text=True,
                check=False,
            )
            assert finished.returncode == 0, finished.stdout + finished.stderr
            assert "keepalives_idle=77" in seen.read_text()
            assert "pa55" not in seen.read_text() + finished.stdout + finished.stderr
            assert database.name in finished.stdout
            if target == "psql":
                assert "7MB" in finished.stdout
    finally:
        with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as admin:
            admin.execute("select cron.unschedule(jobid) from cron.job")


def test_psql_gets_the_password_and_every_other_option_of_the_connection_string(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url(database))
    psql = Psql.on_database("-c", "select 1")
    assert psql.environment["PGPASSWORD"] == PASSWORD
    (option,) = [one for one in psql.command if one.startswith("--dbname=")]
    shown = conninfo_to_dict(option.removeprefix("--dbname="))
    assert shown | {"password": PASSWORD} == conninfo_to_dict(url(database))
    assert "password" not in shown


def test_notifier_psql_passes_every_argument_to_psql(database: TestDatabase) -> None:
    answer = subprocess.check_output(
        command("psql", "-At", "-c", "select current_database()", "--set", "a=b"),
        env=database.environment | {"DATABASE_URL": url(database)},
        text=True,
    )
    assert answer == f"{database.name}\n"


def test_without_a_connection_string_psql_reads_libpqs_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert Psql.on_database("-l").command == ["psql", "-X", "-l"]


def test_a_secret_that_psql_takes_only_as_an_argument_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "host=db1 sslpassword=pa55")
    with pytest.raises(DatabaseUnusable, match=r"sslpassword.*service file") as refused:
        Psql.on_database()
    assert "pa55" not in str(refused.value)
