"""A private PostgreSQL leaves nothing behind; deploy/packages.sh installs only what is missing."""

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
from sandbox.processes import command_lines_with
from tests.conftest import PATIENCE_SECONDS, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

# A program that prints its server's folder. When it is interrupted it checks that the server still
# answers, and then that the server's files are gone.
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
            print("the server still answers", flush=True)
except KeyboardInterrupt:
    sys.exit("something is left" if os.path.exists(server.base_dir) else 130)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """A program with a server, in a process group of its own, as a shell would start it."""
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


def test_the_server_uses_utf8_and_utc(server: Postgres) -> None:
    assert query(server, "select current_setting('server_encoding'), lower('Ж')") == [("UTF8", "ж")]
    assert query(server, "select current_setting('timezone')") == [("UTC",)]


def test_psql_uses_the_servers_environment_and_not_the_callers(
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


def assert_nothing_is_left(folder: str) -> None:
    assert not Path(folder).exists()
    assert command_lines_with(folder) == []


def test_nothing_is_left_after_the_block_and_pg_cron_can_have_another_database() -> None:
    with Postgres(cron_database="test") as server:
        assert command_lines_with(server.base_dir)
        execute(server, "create extension pg_cron", "test")
    assert_nothing_is_left(server.base_dir)


def test_nothing_is_left_when_the_block_fails_with_a_client_connected() -> None:
    server = Postgres()
    clients = []
    with pytest.raises(psycopg.errors.DivisionByZero), server:  # noqa: PT012
        clients.append(psycopg.connect(server.conninfo()))
        clients[0].execute("select 1 / 0")
    assert_nothing_is_left(server.base_dir)


def test_an_interrupted_owner_can_use_its_server_to_the_end_and_leaves_nothing(
    owner: subprocess.Popen[str],
) -> None:
    folder, _ = line(owner), line(owner)
    os.killpg(owner.pid, signal.SIGINT)  # the whole group, as Ctrl-C does
    assert line(owner) == "the server still answers"
    assert owner.wait(PATIENCE_SECONDS) == 130
    assert_nothing_is_left(folder)


@pytest.mark.parametrize(
    ("landmark", "interruption"),
    [
        ("tmp", signal.SIGHUP),
        ("data/PG_VERSION", signal.SIGTERM),
        ("data/postmaster.pid", signal.SIGINT),
    ],
)
def test_an_owner_interrupted_while_its_server_starts_leaves_nothing(
    owner: subprocess.Popen[str], landmark: str, interruption: signal.Signals
) -> None:
    folder = line(owner)
    until(Path(folder, landmark).exists)
    os.killpg(owner.pid, interruption)
    assert owner.wait(PATIENCE_SECONDS) == 130
    assert_nothing_is_left(folder)


def test_the_server_shuts_down_when_sigkill_ends_its_owner(
    owner: subprocess.Popen[str],
) -> None:
    folder, _ = line(owner), line(owner)
    owner.kill()
    until(lambda: command_lines_with(folder) == [])
    assert not Path(folder, "data/postmaster.pid").exists(), "the server crashed instead"
    subprocess.run(["rm", "-r", folder], check=True)


def test_a_killed_server_starts_again_with_its_data_on_its_port() -> None:
    """Killed again, it leaves nothing. Without a cron_database there is no pg_cron."""
    with Postgres(cron_database=None) as server:
        execute(server, "create table kept as select 1 as number")
        port = server.port
        with busy_client(server) as client:
            server.kill()
            assert client.wait(PATIENCE_SECONDS) != 0
        assert command_lines_with(server.base_dir) == []
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.conninfo())
        server.start()
        assert server.port == port
        assert query(server, "select number from kept") == [(1,)]
        with pytest.raises(psycopg.Error, match="cron"):
            execute(server, "create extension pg_cron", "postgres")
        server.kill()
    assert_nothing_is_left(server.base_dir)


def busy_client(server: Postgres) -> subprocess.Popen[bytes]:
    """A client whose backend is too busy to notice that the server is gone."""
    client = subprocess.Popen(
        ["psql", "-Xqc", "do $$ begin loop null; end loop; end $$"],
        env=server.environment(),
        stderr=subprocess.DEVNULL,
    )
    busy = "select 1 from pg_stat_activity where query like 'do %' and state = 'active'"
    until(lambda: bool(query(server, busy)))
    return client


def test_a_server_whose_port_is_taken_meanwhile_chooses_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = iter([taken, testing.common.database.get_unused_port()])
        monkeypatch.setattr(testing.common.database, "get_unused_port", lambda: next(ports))
        with Postgres() as server:
            assert server.port != taken


@pytest.mark.parametrize(("name", "mode"), [("x" * 120, 0o755), ("closed-to-others-", 0o700)])
def test_a_temporary_folder_that_no_server_can_use_is_not_used(
    name: str, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix=name, dir="/tmp") as folder:
        Path(folder).chmod(mode)
        monkeypatch.setattr("tempfile.tempdir", folder)  # the module's cached choice
        assert Path(Postgres().base_dir).parent == Path("/tmp")


def test_packages_sh_prints_nothing_if_no_package_is_missing() -> None:
    check = subprocess.run(
        ["sh", "deploy/packages.sh", "tests"], cwd=ROOT, capture_output=True, text=True
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_packages_sh_runs_no_code_from_the_current_folder(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    (tmp_path / "venv.py").write_text(f"open({str(proof)!r}, 'w').close()")
    check = subprocess.run(["sh", ROOT / "deploy/packages.sh", "client"], cwd=tmp_path)
    assert check.returncode == 0
    assert not proof.exists()


def test_packages_sh_installs_nothing_for_a_python_of_another_name(tmp_path: Path) -> None:
    check = subprocess.run(
        ["sh", "deploy/packages.sh", "client"],
        cwd=ROOT,
        env=os.environ | {"PYTHON": str(tmp_path / "python3.9")},
        capture_output=True,
        text=True,
    )
    assert (check.returncode, check.stdout) == (1, "")
    assert check.stderr == f"PYTHON={tmp_path}/python3.9 is not Python 3.11 or newer with venv\n"


def packages_without_root(folder: Path, kind: str, servers: str = "/usr/lib/postgresql") -> str:
    """What packages.sh prints when it may install nothing; servers: where it looks for them."""
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    no_sudo = folder / "sudo"
    no_sudo.write_text("#!/bin/sh\nexit 1\n")
    no_sudo.chmod(0o755)
    check = subprocess.run(
        [*(nobody if os.geteuid() == 0 else []), "sh", "-s", kind],
        # By its contents: the user nobody may not open it by its path.
        input=(ROOT / "deploy/packages.sh").read_text().replace("/usr/lib/postgresql", servers),
        env=os.environ | {"PYTHON": "/nowhere/python3", "PATH": f"{folder}:{os.environ['PATH']}"},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert check.returncode == 1
    return check.stderr


def test_packages_sh_without_root_prints_the_command_to_run(tmp_path: Path) -> None:
    command = "apt-get update && apt-get install --no-install-recommends python3 python3-venv"
    assert command in packages_without_root(tmp_path, "client")


def test_packages_sh_asks_for_the_plproxy_of_the_installed_server() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # the user nobody may enter it
        Path(folder).chmod(0o755)
        home = Path(folder, "16")
        for part in ("bin/initdb", "bin/postgres", "lib/pg_cron.so", "lib/plpgsql_check.so"):
            (home / part).parent.mkdir(parents=True, exist_ok=True)
            (home / part).touch(mode=0o755)
        asked = packages_without_root(Path(folder), "tests", folder).split()
        assert "postgresql-16-plproxy" in asked
        assert not {"postgresql-16", "postgresql-15", "postgresql-17"} & {*asked}
        assert "postgresql-16-plproxy" not in packages_without_root(Path(folder), "sandbox", folder)
        (home / "lib/plproxy.so").touch()
        assert "plproxy" not in packages_without_root(Path(folder), "tests", folder)
