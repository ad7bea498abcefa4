"""What the sandbox promises: a real server with pg_cron, and nothing left of it afterwards."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import testing.common.database

from sandbox.postgres import Postgres
from tests.conftest import PATIENCE_SECONDS, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

# Says where its server is, and when interrupted whether that is there to the last, and then gone.
OWNER = """
import os, signal, sys
import psycopg
from sandbox.postgres import Postgres

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
server = Postgres()
print(server.base_dir, flush=True)
try:
    with server:
        try:
            print("the server is up", flush=True)
            input()
        finally:
            with psycopg.connect(server.conninfo()) as connection:
                connection.execute("select 1")
            print("the server answered to the last", flush=True)
except KeyboardInterrupt:
    sys.exit("something is left" if os.path.exists(server.base_dir) else 130)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """A program with a server of its own, in a process group of its own, as a shell starts it."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as program:
        yield program
        program.terminate()


def line(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def processes_in(folder: str) -> list[str]:
    """The command lines that speak of this folder, as those of its server and of initdb do."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if folder in command:
            found.append(command)
    return found


def query(server: Postgres, sql: str, dbname: str = "test") -> list[tuple[object, ...]]:
    with psycopg.connect(server.conninfo(dbname), autocommit=True) as connection:
        return connection.execute(sql.encode()).fetchall()


def execute(server: Postgres, sql: str, dbname: str = "test") -> None:
    with psycopg.connect(server.conninfo(dbname), autocommit=True) as connection:
        connection.execute(sql.encode())


def test_the_server_has_pg_cron_and_its_launcher_is_up(server: Postgres) -> None:
    execute(server, "create extension pg_cron", "postgres")
    launchers = "select 1 from pg_stat_activity where backend_type = 'pg_cron launcher'"
    until(lambda: bool(query(server, launchers)))
    execute(server, "select cron.schedule('nightly', '0 3 * * *', 'select 1')", "postgres")
    assert query(server, "select jobname, database from cron.job", "postgres") == [
        ("nightly", "postgres")
    ]


def test_the_server_has_plpgsql_check(server: Postgres) -> None:
    execute(server, "create extension plpgsql_check")


def test_the_server_speaks_utf8_and_utc(server: Postgres) -> None:
    assert query(server, "select current_setting('server_encoding'), lower('Ж')") == [("UTF8", "ж")]
    assert query(server, "select current_setting('timezone')") == [("UTC",)]


def test_pg_cron_can_live_in_a_database_of_choice() -> None:
    with Postgres(cron_database="test") as server:
        execute(server, "create extension pg_cron", "test")


def test_pg_cron_can_be_left_out() -> None:
    with Postgres(cron_database=None) as server, pytest.raises(psycopg.Error, match="cron"):
        execute(server, "create extension pg_cron", "postgres")


def test_psql_finds_the_server_by_its_environment_whatever_the_callers_says(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICE", "production")
    monkeypatch.setenv("DATABASE_URL", "postgresql://production")
    environment = server.environment("template1")
    answer = subprocess.run(
        ["psql", "-XAtc", "select current_database(), inet_server_port()"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == f"template1|{server.port}"
    assert "DATABASE_URL" not in environment


def test_nothing_is_left_after_the_block() -> None:
    with Postgres() as server:
        assert processes_in(server.base_dir)
    assert not Path(server.base_dir).exists()
    assert processes_in(server.base_dir) == []


def test_nothing_is_left_when_the_block_fails_with_a_client_still_there() -> None:
    server = Postgres()
    clients = []
    with pytest.raises(psycopg.errors.DivisionByZero), server:  # noqa: PT012
        clients.append(psycopg.connect(server.conninfo()))
        clients[0].execute("select 1 / 0")
    assert not Path(server.base_dir).exists()
    assert processes_in(server.base_dir) == []


@pytest.mark.parametrize("interruption", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_owner_has_its_server_to_the_last_and_leaves_nothing(
    owner: subprocess.Popen[str], interruption: signal.Signals
) -> None:
    folder, _ = line(owner), line(owner)
    os.killpg(owner.pid, interruption)  # the whole group, as a terminal does
    assert line(owner) == "the server answered to the last"
    assert owner.wait(PATIENCE_SECONDS) == 130
    assert not Path(folder).exists()
    assert processes_in(folder) == []


@pytest.mark.parametrize("landmark", ["tmp", "data/PG_VERSION", "data/postmaster.pid"])
def test_an_owner_interrupted_while_its_server_boots_leaves_nothing(
    owner: subprocess.Popen[str], landmark: str
) -> None:
    folder = line(owner)
    until(Path(folder, landmark).exists)
    os.killpg(owner.pid, signal.SIGINT)
    assert owner.wait(PATIENCE_SECONDS) == 130
    assert not Path(folder).exists()
    assert processes_in(folder) == []


def test_the_server_shuts_down_when_its_owner_is_killed_outright(
    owner: subprocess.Popen[str],
) -> None:
    folder, _ = line(owner), line(owner)
    owner.kill()
    until(lambda: processes_in(folder) == [])
    assert not Path(folder, "data/postmaster.pid").exists(), "it crashed instead"
    subprocess.run(["rm", "-r", folder], check=True)


def test_a_killed_server_starts_again_with_its_data_on_its_port() -> None:
    with Postgres() as server:
        execute(server, "create table kept as select 1 as number")
        port = server.port
        with busy_client(server) as client:
            server.kill()
            assert client.wait(PATIENCE_SECONDS) != 0
        assert processes_in(server.base_dir) == []
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.conninfo())
        server.start()
        assert server.port == port
        assert query(server, "select number from kept") == [(1,)]


def busy_client(server: Postgres) -> subprocess.Popen[bytes]:
    """One whose backend is too busy to notice by itself that the server is gone."""
    client = subprocess.Popen(
        ["psql", "-Xqc", "do $$ begin loop null; end loop; end $$"],
        env=server.environment(),
        stderr=subprocess.DEVNULL,
    )
    busy = "select 1 from pg_stat_activity where query like 'do %' and state = 'active'"
    until(lambda: bool(query(server, busy)))
    return client


def test_a_killed_server_leaves_nothing_either() -> None:
    with Postgres() as server:
        server.kill()
    assert not Path(server.base_dir).exists()


def test_a_port_that_somebody_takes_meanwhile_is_changed_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([taken, testing.common.database.get_unused_port()])
        monkeypatch.setattr(testing.common.database, "get_unused_port", lambda: next(ports))
        with Postgres() as server:
            assert server.port != taken


@pytest.mark.parametrize(("name", "mode"), [("x" * 120, 0o755), ("closed-to-others-", 0o700)])
def test_a_temporary_folder_where_no_server_can_live_is_not_used(
    name: str, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix=name, dir="/tmp") as folder:
        Path(folder).chmod(mode)
        monkeypatch.setattr("tempfile.tempdir", folder)  # where the module remembers its choice
        with Postgres() as server:
            assert query(server, "select 1") == [(1,)]


def test_where_no_package_is_missing_the_check_says_nothing() -> None:
    check = subprocess.run(
        ["sh", "deploy/packages.sh", "tests"], cwd=ROOT, capture_output=True, text=True
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_the_check_runs_no_code_that_lies_in_the_current_folder(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    (tmp_path / "venv.py").write_text(f"open({str(taken)!r}, 'w').close()")
    check = subprocess.run(["sh", ROOT / "deploy/packages.sh", "client"], cwd=tmp_path)
    assert check.returncode == 0
    assert not taken.exists()


def test_who_cannot_install_is_told_the_command(tmp_path: Path) -> None:
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    no_sudo = tmp_path / "sudo"
    no_sudo.write_text("#!/bin/sh\nexit 1\n")
    no_sudo.chmod(0o755)
    with open(ROOT / "deploy/packages.sh") as script:  # which nobody may not read by its path
        check = subprocess.run(
            [*(nobody if os.geteuid() == 0 else []), "sh", "-s", "client"],
            stdin=script,
            env=os.environ
            | {"PYTHON": "/nowhere/python3", "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            cwd="/",
            capture_output=True,
            text=True,
        )
    assert check.returncode == 1
    command = "apt-get update && apt-get install --no-install-recommends python3 python3-venv"
    assert command in check.stderr
