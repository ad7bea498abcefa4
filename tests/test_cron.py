"""pg_cron runs the passes: the psql scripts behind make schedule, unschedule and status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from notifier.migrate import migrate
from notifier.resources import ROOT
from notifier.text import UNSAFE_CHARACTERS
from sandbox.postgres import Postgres
from tests.conftest import TEMPLATE, TestDatabase, config, shared_database, until
from tests.delivery_rigs import command
from tests.test_foreign_texts import HOSTILE

pytestmark = pytest.mark.slow

# Before pg_cron 1.5 jobs start at full minutes.


def psql(
    script: str, environment: dict[str, str], wait_seconds: int = 0
) -> subprocess.CompletedProcess[str]:
    """Runs a script. By default schedule.sql does not wait for a first run."""
    settings = ["-v", "ON_ERROR_STOP=1", "-v", f"wait_seconds={wait_seconds}"]
    return subprocess.run(
        ["psql", "-X", "-q", *settings, "-f", f"sql/cron/{script}.sql"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def cron(database: TestDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A connection to pg_cron's database, which is not the test's database."""
    with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as connection:
        connection.execute("create extension if not exists pg_cron")
        yield connection
        connection.execute("select cron.unschedule(jobid) from cron.job")
        connection.execute("delete from cron.job_run_details")


@contextmanager
def login(database: TestDatabase, name: str) -> Iterator[dict[str, str]]:
    """The environment of a plain user who may run passes and use pg_cron."""
    with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(
            f"create role {name} login;"
            f" grant pg_read_all_settings to {name}; grant usage on schema cron to {name};"
            f" grant execute on function cron.schedule_in_database to {name};".encode()
        )
        database.connection.execute(
            f"grant usage on schema scooters_ops to {name};"
            f" grant select on all tables in schema scooters_ops to {name}".encode()
        )
        try:
            yield database.environment | {"PGUSER": name}
        finally:
            for connection in (admin, database.connection):
                connection.execute(f"drop owned by {name}".encode())
            admin.execute(f"drop role {name}".encode())


def jobs(cron: psycopg.Connection[Any]) -> dict[str, tuple[str, str, str]]:
    """Schedule, command and database of each job, by its name without the database."""
    rows = cron.execute("select jobname, schedule, command, database from cron.job").fetchall()
    return {name.partition("@")[0]: (schedule, *rest) for name, schedule, *rest in rows}


def problems(database: TestDatabase) -> list[str]:
    """The problems that status.sql lists, one a line; it ends with an error if there are any."""
    finished = psql("status", database.environment)
    *lines, verdict = finished.stderr.splitlines() or [""]
    assert finished.returncode == (3 if lines else 0), finished.stderr
    assert verdict.endswith("a person is needed" if lines else "")
    return lines


def run_details(
    cron: psycopg.Connection[Any], job: str, status: str, message: str | None, **columns: Any
) -> None:
    """Records a run of a job with a higher runid than those that pg_cron records meanwhile."""
    row = {"status": status, "return_message": message, **columns}
    cron.execute(
        sql.SQL(
            "insert into cron.job_run_details (jobid, database, username, command, runid, {})"
            " select jobid, database, username, command, (select 1000000000 + count(*)"
            " from cron.job_run_details), {} from cron.job where starts_with(jobname, {})"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(map(sql.Literal, row.values())),
            f"scooters_ops_{job}@",
        )
    )


def knows_seconds(cron: psycopg.Connection[Any]) -> bool:
    (version,) = cron.execute(
        "select extversion from pg_extension where extname = 'pg_cron'"
    ).fetchone() or ("",)
    major, minor = version.partition("-")[0].split(".")[:2]
    return (int(major), int(minor)) >= (1, 5)


def test_scheduling_creates_three_jobs_and_scheduling_again_replaces_them(
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


def test_status_says_that_detection_has_stopped(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    database.apply_config(detection__schedule="0 0 29 2 *")  # far away, however long this takes
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
    assert "Detection has STOPPED: the last pass started 01:0" in stopped.stderr
    assert "Does its launcher run" in stopped.stderr  # pg_cron recorded no run
    run_details(cron, "detect", "succeeded", "CALL")
    assert "Does its launcher run" not in psql("status", database.environment).stderr


def test_status_says_what_is_not_scheduled_or_scheduled_differently(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert problems(database) == ["No pass is scheduled: make schedule"]
    assert psql("schedule", database.environment).returncode == 0
    assert problems(database) == []
    database.apply_config(detection__schedule="20 seconds")
    assert problems(database) == [
        f"Job scooters_ops_detect@{database.name} is not as the config in force and this version"
        " define it: make schedule"
    ]
    database.apply_config(detection__enabled=False)
    assert psql("unschedule", database.environment).returncode == 0
    assert problems(database) == []  # because the config disables detection


@pytest.mark.parametrize(
    ("job", "command"),
    [
        ("prune", "select scooters_ops.prune()"),
        ("prune_runs", "delete from cron.job_run_details where end_time < now()"),
    ],
)
def test_status_says_that_an_earlier_version_scheduled_a_job(
    database: TestDatabase, cron: psycopg.Connection[Any], job: str, command: str
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    cron.execute(
        "update cron.job set command = %s where starts_with(jobname, %s)",
        (command, f"scooters_ops_{job}@"),
    )
    (line,) = problems(database)
    assert line.startswith(f"Job scooters_ops_{job}@{database.name} is not as the config")


def test_status_names_missing_and_surplus_jobs_and_scheduling_again_fixes_them(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    first_run = f"scooters_ops_first_run@{database.name}"
    cron.execute("select cron.schedule(%s, '0 0 1 1 *', 'select 1')", (first_run,))
    cron.execute(
        "select cron.unschedule(jobid) from cron.job"
        " where starts_with(jobname, 'scooters_ops_prune_runs@')"
    )
    assert problems(database) == [
        f"Job scooters_ops_prune_runs@{database.name} is missing: make schedule",
        f"Job {first_run} is left over from an interrupted make schedule: make schedule",
    ]
    assert psql("schedule", database.environment).returncode == 0
    assert len(jobs(cron)) == 3
    assert problems(database) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("active = false", "Job {detect} is paused (cron.job.active): make schedule"),
        ("database = 'postgres'", "Job {detect} runs in database postgres, not in {database}:"),
        ("nodeport = 1", "Job {detect} runs on another server, host {host}, port 1: make schedule"),
        ("nodename = 'db1'", "Job {detect} runs on another server, host db1, port {port}:"),
    ],
)
def test_status_names_jobs_that_are_paused_or_run_elsewhere_and_scheduling_again_replaces_them(
    database: TestDatabase, cron: psycopg.Connection[Any], change: str, line: str
) -> None:
    everything = "select * from cron.job where jobid = (select max(jobid) - 2 from cron.job)"
    assert psql("schedule", database.environment).returncode == 0
    ((first, *right),) = cron.execute(everything.encode()).fetchall()
    cron.execute(f"update cron.job set {change} where jobid = {first}".encode())
    (found,) = problems(database)
    (host,) = cron.execute("select current_setting('cron.host')").fetchone() or ("",)
    assert found.startswith(
        line.format(
            detect=f"scooters_ops_detect@{database.name}",
            database=database.name,
            host=host,
            port=database.cluster.port,
        )
    )
    assert psql("schedule", database.environment).returncode == 0
    ((second, *now),) = cron.execute(everything.encode()).fetchall()
    assert (second > first, now) == (True, right)
    assert len(jobs(cron)) == 3
    assert problems(database) == []


def test_another_owners_job_is_replaced_if_that_is_allowed_and_otherwise_named(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    with login(database, "other_owner") as other:
        assert psql("schedule", other).returncode == 0
        # A plain user does not see the jobs of others, so there are two of each.
        with login(database, "second_owner") as second:
            assert psql("schedule", second).returncode == 0
        twins = [line for line in problems(database) if "Remove one" in line]
        assert len(twins) == 3
        assert "exists for other_owner and for second_owner. Remove one" in twins[0]
        assert psql("schedule", database.environment).returncode == 0
        owners = cron.execute("select distinct username from cron.job").fetchall()
        assert owners == [("postgres",)]
        assert problems(database) == []


def test_a_plain_user_is_not_told_of_a_missing_job_while_another_users_job_runs_passes(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    with login(database, "plain_owner") as plain:
        assert "No pass is scheduled: make schedule" in psql("status", plain).stderr
        database.value("select scooters_ops.detect_timeouts()")
        shown = psql("status", plain)
        assert shown.returncode == 0, shown.stderr
        assert "None of your jobs runs passes." in shown.stdout


@pytest.mark.parametrize("script", ["schedule", "unschedule", "status"])
def test_a_user_without_rights_on_pg_cron_is_told_which_grant_to_ask_for(
    database: TestDatabase, cron: psycopg.Connection[Any], script: str
) -> None:
    with login(database, "stranger") as stranger:
        function = "function cron.schedule_in_database"
        cron.execute(f"revoke execute on {function} from stranger".encode())
        if script == "schedule":
            finished = psql(script, stranger)
            assert f"grant execute on {function} to stranger" in finished.stderr
            assert "permission denied" not in finished.stderr
            assert finished.returncode == 3
        cron.execute("revoke usage on schema cron from stranger")
        finished = psql(script, stranger)
        assert f"grant execute on {function} to stranger" in finished.stdout + finished.stderr
        assert "grant usage on schema cron to stranger" in finished.stdout + finished.stderr
        assert finished.returncode == (0 if script == "status" else 3)
        cron.execute("revoke pg_read_all_settings from stranger")
        finished = psql(script, stranger)
        assert "grant pg_read_all_settings to stranger" in finished.stderr
        assert "CONTEXT" not in finished.stderr
        assert finished.returncode == 3


@pytest.mark.parametrize(
    "setting",
    [
        "row_security = off",
        "default_transaction_read_only = on",
        "default_transaction_isolation = serializable",
        "client_min_messages = error",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = sql_standard",
        "standard_conforming_strings = off",
        "quote_all_identifiers = on",
    ],
)
def test_the_scripts_work_with_any_settings_of_their_user(
    database: TestDatabase, cron: psycopg.Connection[Any], setting: str
) -> None:
    database.value("select scooters_ops.detect_timeouts()")
    # At a full minute pg_cron would run the job, and its owner may not run passes.
    database.apply_config(detection__schedule="0 0 1 1 *")
    with login(database, "plain_owner") as plain:
        cron.execute(f"alter role plain_owner set {setting}".encode())
        for script in ("schedule", "status", "unschedule"):
            finished = psql(script, plain)
            assert (finished.returncode, finished.stderr) == (0, "")
            assert f"scooters_ops_detect@{database.name}" in finished.stdout


def test_a_database_name_may_have_characters_that_the_roles_encoding_lacks(
    cluster: Postgres, cron: psycopg.Connection[Any]
) -> None:
    name = "самокаты_Ω"
    cron.execute(f'create database "{name}" template "{TEMPLATE}"'.encode())
    try:
        environment = cluster.environment(name)
        with psycopg.connect(cluster.conninfo(name), autocommit=True) as connection:
            connection.execute("select scooters_ops.detect_timeouts()")
        cron.execute("alter role postgres set client_encoding = 'WIN1251'")
        for script in ("schedule", "status", "unschedule"):
            finished = psql(script, environment)
            assert finished.returncode == 0, finished.stderr
            assert (f"scooters_ops_detect@{name}" in finished.stdout) is True
    finally:
        cron.execute("alter role postgres reset client_encoding")
        cron.execute(f'drop database "{name}" with (force)'.encode())


def test_a_run_that_was_cancelled_by_pausing_its_job_is_not_a_failure(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    run_details(cron, "detect", "failed", "job canceled")
    assert problems(database) == []
    cron.execute("update cron.job set active = false where jobname like '%detect@%'")
    (line,) = problems(database)
    assert "is paused" in line


def test_status_says_how_to_remove_jobs_of_a_dropped_or_renamed_database(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    with shared_database(database.cluster) as doomed:
        assert psql("schedule", doomed.environment).returncode == 0
    with shared_database(database.cluster) as renamed:
        renamed.apply_config(detection__enabled=False)
        assert psql("schedule", renamed.environment).returncode == 0
        renamed.connection.close()
        cron.execute(f"alter database {renamed.name} rename to other_name".encode())
        try:
            assert psql("schedule", database.environment).returncode == 0
            lines = problems(database)
        finally:
            cron.execute(f"alter database other_name rename to {renamed.name}".encode())
    advice = "belongs to a database that was dropped or renamed. Remove it: in database postgres, "
    assert sorted(line.partition(f" {advice}")[0].partition("@")[2] for line in lines) == sorted(
        3 * [doomed.name] + 3 * [renamed.name]
    )
    for line in lines:
        cron.execute(line.partition(advice)[2].encode())
    assert problems(database) == []


def test_users_of_pg_cron_can_neither_control_a_terminal_nor_forge_lines_of_status(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    """psql prints errors and \\echo unfiltered."""
    hostile = f"{HOSTILE}\nNothing needs a person."
    with login(database, "annoyed") as annoyed:
        conninfo = make_conninfo(database.cluster.conninfo("postgres"), user=annoyed["PGUSER"])
        with psycopg.connect(conninfo, autocommit=True) as their_cron:
            their_cron.execute(
                "select cron.schedule(%s, '* * * * *', 'select 1')",
                (f"scooters_ops_x@gone{hostile}",),
            )
        assert psql("schedule", database.environment).returncode == 0
        run_details(cron, "detect", "failed", hostile)
        by_psql = psql("status", database.environment)
        by_notifier = subprocess.run(
            command("status", "--jobs"),
            env=database.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        cron.execute("select cron.unschedule(jobid) from cron.job")
    for finished in (by_psql, by_notifier):
        said = finished.stdout + finished.stderr
        assert "belongs to a database that was dropped" in said
        assert "The last run of job" in said
        assert not UNSAFE_CHARACTERS.search(said.replace("\n", ""))
        assert "Nothing needs a person." not in [line.strip() for line in said.splitlines()]


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("connection failed", "Set cron.use_background_workers = on and restart PostgreSQL."),
        ('FATAL: role "x" is not permitted to log in', "alter role postgres login"),
        (
            "ERROR: permission denied for schema scooters_ops",
            "Run make schedule as the owner of schema",
        ),
        (
            "ERROR:  canceling statement due to statement timeout\nCONTEXT:  SQL statement",
            "statement timeout. To remove the limit: alter role postgres in database",
        ),
        ("ERROR: out of memory", "Fix what it names"),
    ],
)
def test_status_names_the_last_failed_run_and_what_to_do_until_a_run_succeeds(
    database: TestDatabase, cron: psycopg.Connection[Any], message: str, advice: str
) -> None:
    assert psql("schedule", database.environment).returncode == 0
    run_details(cron, "detect", "failed", message)
    (line,) = problems(database)
    first_line = message.partition("\n")[0]
    assert line.startswith(f"The last run of job scooters_ops_detect@{database.name} failed: ")
    assert first_line in line
    assert advice in line
    run_details(cron, "detect", "succeeded", "CALL")
    assert problems(database) == []
    run_details(cron, "detect", "failed", "server restarted")
    assert problems(database) == []


def test_status_says_with_its_last_line_and_exit_code_whether_a_person_is_needed(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    def make_status() -> tuple[int, str]:
        finished = subprocess.run(
            command("status", "--jobs"),
            env=database.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.stderr == ""
        return finished.returncode, finished.stdout

    database.value("select scooters_ops.detect_timeouts()")
    code, shown = make_status()
    assert (code, shown.splitlines()[-1]) == (1, "No pass is scheduled: make schedule")
    assert psql("schedule", database.environment).returncode == 0
    code, shown = make_status()
    assert (code, shown.splitlines()[-1]) == (0, "Nothing needs a person.")
    database.connection.execute(
        "update scooters_ops.detection_passes set started_at = now() - interval '1 hour';"
        "update scooters_ops.configs set applied_at = now() - interval '1 day'"
    )
    run_details(cron, "detect", "failed", "connection failed")
    code, shown = make_status()
    assert code == 1
    *_, stopped, failed = shown.splitlines()
    assert stopped.startswith("Detection has STOPPED: the last pass started 01:00:0")
    assert "failed: connection failed. pg_cron could not connect to" in failed
    assert "make status" not in shown
    assert "Nothing needs a person." not in shown


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
    _, _, _, _, run_at, status, message, failures, failed_at = map(str.strip, line.split("|"))
    assert (status, message, failures) == ("succeeded", "1 row", "2")
    assert run_at == failed_at == "2020-02-02 02:02:00+00"


def test_pg_cron_may_be_in_our_own_database_whatever_its_name(
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
            assert f"pg_cron has no tables in database {name}" in psql("status", environment).stderr
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


def test_on_a_server_without_pg_cron_the_error_says_how_to_get_it() -> None:
    with Postgres(cron_database=None) as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute("create schema scooters_ops")
            connection.execute("create table scooters_ops.detection_status ()")
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


def test_the_job_that_prunes_runs_finds_runs_without_an_end_and_runs_of_removed_jobs(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    cron.execute("select cron.schedule('somebody else''s', '0 0 1 1 *', 'select 1')")
    cron.execute(
        "insert into cron.job_run_details (jobid, runid, status, command, database, start_time)"
        " select jobid, 1000, 'failed', command, database, null from cron.job"
    )
    # The second make schedule replaces the jobs, so the first runs are of removed jobs.
    for first_runid in (1100, 1200):
        assert psql("schedule", database.environment).returncode == 0
        cron.execute(
            "insert into cron.job_run_details"
            " (jobid, runid, status, command, database, start_time, end_time)"
            " select jobid, %s + run.number, run.status, command, database,"
            " now() - run.started * interval '1 day', now() - run.ended * interval '1 day'"
            " from cron.job, (values (1, 'failed', null, null), (2, 'running', 9, null),"
            " (3, 'failed', 9, null), (4, 'succeeded', 9, 9), (5, 'failed', null, null),"
            " (6, 'starting', null, null), (7, 'failed', 1, null), (8, 'succeeded', 9, 1),"
            " (9, 'failed', null, null))"
            " as run (number, status, started, ended)"
            " where starts_with(jobname, 'scooters_ops_detect')",
            (first_runid,),
        )
    cron.execute(jobs(cron)["scooters_ops_prune_runs"][1].encode())
    left = cron.execute(
        "select runid from cron.job_run_details where runid between 1000 and 1300 order by runid"
    ).fetchall()
    # A run that never connected is as old as the runs after it. Runs that have not ended stay.
    assert [runid for (runid,) in left] == [
        1000,
        *(1102, 1106, 1107, 1108),
        *(1202, 1205, 1206, 1207, 1208, 1209),
    ]


@pytest.mark.parametrize("distance", ["0 seconds", "61 seconds"])
def test_the_time_between_passes_within_a_minute_is_checked(
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


def test_a_minute_of_passes_ends_before_statement_timeout_and_status_says_so(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    with database.connect() as caller:
        caller.execute("set statement_timeout = '3s'")
        caller.execute("call scooters_ops.detect_for_a_minute('1 second')")
    assert database.value("select count(*) from scooters_ops.detection_passes") >= 2
    if knows_seconds(cron):
        return
    assert psql("schedule", database.environment).returncode == 0
    cron.execute(f"alter database {database.name} set statement_timeout = '59s'".encode())
    (line,) = problems(database)
    assert line.startswith("Passes run for only part of each minute")
    assert f"of postgres in database {database.name} is 59s" in line
    again = psql("schedule", database.environment)
    assert (again.returncode, line in again.stderr) == (3, True)
    # The command that the message names removes the limit.
    cron.execute(line.partition(f"{database.name} is 59s: ")[2].encode())
    assert problems(database) == []


def test_scheduling_says_that_no_run_has_started(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    (launcher,) = cron.execute(
        "select pid from pg_stat_activity where backend_type = 'pg_cron launcher'"
    ).fetchone() or (0,)
    os.kill(launcher, signal.SIGSTOP)
    try:
        waited = psql("schedule", database.environment, wait_seconds=1)
    finally:
        os.kill(launcher, signal.SIGCONT)
    assert waited.returncode == 3
    assert "pg_cron has not run the job in 1 seconds." in waited.stderr
    assert "the jobs were created, and a person is needed" in waited.stderr
    assert len(jobs(cron)) == 3


def test_the_scripts_call_no_function_of_the_schema_public(
    database: TestDatabase, cron: psycopg.Connection[Any]
) -> None:
    """Functions in public that match the scripts' calls better than PostgreSQL's own: any user can
    create them where public is open to everybody."""
    cron.execute("create role mallory")
    traps = """
        create function public.trap() returns boolean language plpgsql as
        $$ begin alter role mallory superuser; return true; end $$;
        create function public.octet_length(name) returns integer language sql as
        'select public.trap()::integer * 5';
        create function public.left(name, integer) returns text language sql as
        'select public.trap()::text';
        create function public.md5(name) returns text language sql as
        'select public.trap()::text';
        create function public.format(text, text) returns text language sql as
        'select case when public.trap() then $1 end';
        create function public.format(text, text, text) returns text language sql as
        'select case when public.trap() then $1 end';
        create function public.max(bigint) returns bigint language sql as
        'select public.trap()::integer::bigint';
        create function public.concat_ws(text, text, text) returns text language sql as
        'select public.trap()::text';
        create function public.joined(name, text) returns text language sql as
        'select public.trap()::text';
        create operator public.|| (leftarg = name, rightarg = text, function = public.joined);
        create function public.joined(text, name) returns text language sql as
        'select public.trap()::text';
        create operator public.|| (leftarg = text, rightarg = name, function = public.joined);
        create function public.same(name, text) returns boolean language sql as
        'select public.trap()';
        create operator public.= (leftarg = name, rightarg = text, function = public.same);
        create function public.same(text, name) returns boolean language sql as
        'select public.trap()';
        create operator public.= (leftarg = text, rightarg = name, function = public.same);
    """
    try:
        for connection in (database.connection, cron):
            connection.execute(traps.encode())
        for script in ("schedule", "status", "unschedule", "schedule"):
            finished = psql(script, database.environment)
            assert finished.returncode == 0, finished.stderr
        cron.execute(jobs(cron)["scooters_ops_prune_runs"][1].encode())
        cron.execute("reset search_path")
        assert cron.execute(
            "select rolsuper from pg_roles where rolname = 'mallory'"
        ).fetchone() == (False,)
        # With public in search_path they would be called, so the test can fail.
        cron.execute("select octet_length(current_database())")
        assert cron.execute(
            "select rolsuper from pg_roles where rolname = 'mallory'"
        ).fetchone() == (True,)
    finally:
        cron.execute("set search_path = pg_catalog")
        for (trap,) in cron.execute(
            "select 'operator ' || oid::regoperator::text from pg_operator"
            " where oprnamespace = 'public'::regnamespace union all"
            " select 'function ' || oid::regprocedure::text from pg_proc"
            " where pronamespace = 'public'::regnamespace"
        ).fetchall():
            cron.execute(f"drop {trap} cascade".encode())
        cron.execute("drop role mallory")


@pytest.mark.slow(seconds=60)
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
