"""pg_cron runs the passes: the psql scripts behind make schedule, unschedule and status."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from notifier.config import ROOT
from notifier.migrate import migrate
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, config, until

# Before pg_cron 1.5 jobs start at full minutes.


def psql(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", f"sql/cron/{script}.sql"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def cron(database: TestDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A connection to pg_cron's own database, which is another than the test's."""
    with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as connection:
        connection.execute("create extension if not exists pg_cron")
        yield connection
        connection.execute("select cron.unschedule(jobid) from cron.job")
        connection.execute("delete from cron.job_run_details")


def jobs(cron: psycopg.Connection[Any]) -> dict[str, tuple[str, str, str]]:
    """Schedule, command and database of each job, by its name without the database."""
    rows = cron.execute("select jobname, schedule, command, database from cron.job").fetchall()
    return {name.partition("@")[0]: (schedule, *rest) for name, schedule, *rest in rows}


def knows_seconds(cron: psycopg.Connection[Any]) -> bool:
    (version,) = cron.execute(
        "select extversion from pg_extension where extname = 'pg_cron'"
    ).fetchone() or ("",)
    major, minor = version.partition("-")[0].split(".")[:2]
    return (int(major), int(minor)) >= (1, 5)


def test_scheduling_makes_three_jobs_and_again_replaces_them(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    first = psql("schedule", database.environment)
    assert first.returncode == 0, first.stderr
    database.apply_config(retention__schedule="5 * * * *")
    assert psql("schedule", database.environment).returncode == 0

    scheduled = jobs(cron)
    assert set(scheduled) == {
        "scooters_ops_detect",
        "scooters_ops_prune",
        "scooters_ops_prune_runs",
    }
    assert scheduled["scooters_ops_detect"] == (
        ("10 seconds", "call scooters_ops.detect_in_batches()", database.name)
        if knows_seconds(cron)
        else ("* * * * *", "call scooters_ops.detect_for_a_minute('10 seconds')", database.name)
    )
    assert scheduled["scooters_ops_prune"] == (
        "5 * * * *",
        "call scooters_ops.prune_in_batches()",
        database.name,
    )
    assert scheduled["scooters_ops_prune_runs"][::2] == ("5 * * * *", "postgres")


def test_a_schedule_of_minutes_runs_plain_passes(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    database.apply_config(detection__schedule="*/2 * * * *")
    assert psql("schedule", database.environment).returncode == 0
    assert jobs(cron)["scooters_ops_detect"][:2] == (
        "*/2 * * * *",
        "call scooters_ops.detect_in_batches()",
    )


def test_unscheduling_removes_the_jobs_of_this_database_and_is_harmless_when_repeated(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    cron.execute("select cron.schedule('somebody else''s', '0 0 1 1 *', 'select 1')")
    for _ in range(2):
        finished = psql("unschedule", database.environment)
        assert finished.returncode == 0, finished.stderr
        assert set(jobs(cron)) == {"somebody else's"}


def test_status_says_plainly_that_detection_has_stopped(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    database.value("select scooters_ops.detect_timeouts()")
    running = psql("status", database.environment)
    assert running.returncode == 0, running.stderr
    assert f"scooters_ops_detect@{database.name}" in running.stdout

    database.connection.execute(
        "update scooters_ops.detection_passes set started_at = now() - interval '1 hour'"
    )
    database.connection.execute(
        "update scooters_ops.configs set applied_at = now() - interval '1 day'"
    )
    stopped = psql("status", database.environment)
    assert stopped.returncode == 3
    assert "Detection has STOPPED: the last pass started 01:00:0" in stopped.stderr


def test_status_says_what_is_not_scheduled_or_scheduled_otherwise(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert "No pass is scheduled: make schedule" in psql("status", database.environment).stdout
    assert psql("schedule", database.environment).returncode == 0
    assert "make schedule" not in psql("status", database.environment).stdout
    database.apply_config(detection__schedule="20 seconds")
    assert "differs from the config in force: make schedule" in (
        psql("status", database.environment).stdout
    )


def test_status_says_that_an_earlier_versions_job_keeps_old_notifications(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    assert "earlier version" not in psql("status", database.environment).stdout
    cron.execute(
        "update cron.job set command = 'select scooters_ops.prune()'"
        " where jobname like 'scooters\\_ops\\_prune@%'"
    )
    assert (
        "earlier version, it keeps notifications: make schedule"
        in psql("status", database.environment).stdout
    )


def test_status_counts_the_failures_of_each_job_and_shows_the_last_message(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    cron.execute(
        "insert into cron.job_run_details (jobid, runid, status, return_message, start_time)"
        " select jobid, 1000 + n, run.status, run.message, timestamptz '2020-02-02 02:02:00Z'"
        " from cron.job, (values (1, 'failed', 'ERROR: no luck'), (2, 'failed', 'ERROR: again'),"
        " (3, 'succeeded', '1 row')) as run (n, status, message)"
        " where jobname like 'scooters\\_ops\\_prune@%'"
    )
    shown = psql("status", database.environment).stdout
    (line,) = [line for line in shown.splitlines() if f"scooters_ops_prune@{database.name}" in line]
    _, _, _, run_at, status, message, failures, failed_at = map(str.strip, line.split("|"))
    assert (status, message, failures) == ("succeeded", "1 row", "2")
    assert run_at == failed_at == "2020-02-02 02:02:00+00"


def test_pg_cron_may_live_in_our_own_database_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = 'Scooters\' "own" database'
    with Postgres(cron_database=name) as server:
        with psycopg.connect(server.conninfo("postgres"), autocommit=True) as admin:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        monkeypatch.setenv("DATABASE_URL", server.conninfo(name))
        migrate()
        with psycopg.connect(server.conninfo(name), autocommit=True) as connection:
            connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(config()),))
            environment = server.environment(name)
            assert f"pg_cron has no tables in database {name}" in psql("status", environment).stdout
            assert psql("unschedule", environment).returncode == 0
            for script in ("schedule", "schedule", "status"):
                finished = psql(script, environment)
                assert finished.returncode == 0, finished.stderr
            rows = connection.execute("select jobname, database from cron.job").fetchall()
            assert len(rows) == 3
            assert {database for _, database in rows} == {name}
            assert all(job.endswith(f"@{name}") for job, _ in rows)
            assert psql("unschedule", environment).returncode == 0
            assert connection.execute("select from cron.job").fetchall() == []


def test_scheduling_needs_a_config(database: TestDatabase, cron: psycopg.Connection[Any]) -> None:
    database.connection.execute("truncate scooters_ops.configs")
    refused = psql("schedule", database.environment)
    assert refused.returncode == 3
    assert "no config is in force: make config" in refused.stderr
    assert jobs(cron) == {}


@pytest.mark.parametrize("script", ["schedule", "unschedule", "status"])
def test_a_database_that_was_never_migrated_is_named(cluster: Postgres, script: str) -> None:
    refused = psql(script, cluster.environment("postgres"))
    assert refused.returncode == 3
    assert 'database "postgres" was never migrated: make migrate' in refused.stderr


def test_a_server_without_pg_cron_says_how_to_get_it() -> None:
    with Postgres(cron_database=None) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute("create schema scooters_ops")
            connection.execute("create table scooters_ops.configs ()")
        refused = psql("schedule", server.environment())
    assert refused.returncode == 3
    assert "pg_cron is not loaded by this server" in refused.stderr
    assert "shared_preload_libraries" in refused.stderr


def test_the_job_that_prunes_runs_deletes_old_runs_of_our_jobs_only(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    cron.execute("select cron.schedule('somebody else''s', '0 0 1 1 *', 'select 1')")
    cron.execute(
        "insert into cron.job_run_details (jobid, runid, status, start_time, end_time)"
        " select jobid, 1000 + jobid * 10 + days, 'succeeded', now() - days * interval '1 day',"
        " now() - days * interval '1 day' from cron.job, (values (1), (9)) as age (days)"
    )
    cron.execute(jobs(cron)["scooters_ops_prune_runs"][1].encode())
    left = cron.execute(
        "select jobname, count(*) from cron.job_run_details join cron.job using (jobid)"
        " where runid > 1000 group by 1"
    ).fetchall()
    assert dict(left) == {
        f"scooters_ops_detect@{database.name}": 1,
        f"scooters_ops_prune@{database.name}": 1,
        f"scooters_ops_prune_runs@{database.name}": 1,
        "somebody else's": 2,
    }


@pytest.mark.parametrize("distance", ["0 seconds", "61 seconds"])
def test_the_distance_of_passes_within_a_minute_is_checked(
    database: TestDatabase, distance: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="from 1 second to 1 minute"):
        database.connection.execute(
            "call scooters_ops.detect_for_a_minute(%s::interval)", (distance,)
        )


def test_each_pass_within_a_minute_is_committed_at_once(database: TestDatabase) -> None:
    with database.connect() as caller, ThreadPoolExecutor(1) as pool:
        call = pool.submit(caller.execute, "call scooters_ops.detect_for_a_minute('1 second')")
        until(lambda: database.value("select count(*) from scooters_ops.detection_passes") >= 2)
        caller.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            call.result()
    assert database.value("select count(*) from scooters_ops.detection_passes") >= 2


def test_pg_cron_alone_notices_an_overdue_courier(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    database.apply_config(detection__schedule="1 second")
    assert psql("schedule", database.environment).returncode == 0
    database.create_mission()
    database.value(
        "select scooters_ops.record_event('m1', 'mission_started', null, now() - interval '1 hour')"
    )
    until(lambda: database.tokens() == ["m1_p1__timeout_between_points"])
    until(
        lambda: (
            cron.execute(
                "select from cron.job_run_details where status in ('running', 'succeeded')"
            ).fetchone()
            is not None
        )
    )
    assert (
        cron.execute(
            "select return_message from cron.job_run_details where status = 'failed'"
        ).fetchall()
        == []
    )
