"""A private PostgreSQL with pg_cron that lives as long as a `with` block.

No process and no file outlives the block, even after Ctrl-C, SIGTERM or SIGHUP. If SIGKILL ends
its owner, the server shuts itself down and only its files stay.
"""

import os
import pwd
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psycopg
import testing.postgresql
from psycopg.conninfo import make_conninfo

from sandbox.processes import INTERRUPTIONS, descendants, interruptions_held, is_running

VERSIONS = (18, 17, 16, 15)
SUPERUSER = "postgres"
BOOT_SECONDS = 30.0
SHUTDOWN_SECONDS = 10.0
PORT_ATTEMPTS = 5

MAX_TEMPORARY_FOLDER_LENGTH = 60
"""A Unix socket's path has at most 107 characters, and a folder and ".s.PGSQL.<port>" follow."""


class NoPostgres(RuntimeError):
    """No PostgreSQL with pg_cron and plpgsql_check is installed."""


class BootFailed(RuntimeError):
    """The server did not start; the message has its log."""


class _PortTaken(BootFailed):
    """Another process took the port before the server could."""


def find_postgres() -> Path:
    """The folder with the programs of the newest PostgreSQL that has both extensions.

    Debian's packages install there; deploy/packages.sh looks for the same files. Raises
    NoPostgres.
    """
    for version in VERSIONS:
        home = Path(f"/usr/lib/postgresql/{version}")
        needed = ("bin/initdb", "bin/postgres", "lib/pg_cron.so", "lib/plpgsql_check.so")
        if all((home / path).exists() for path in needed):
            return home / "bin"
    raise NoPostgres(
        f"found no PostgreSQL {VERSIONS[-1]} to {VERSIONS[0]} with pg_cron and plpgsql_check in "
        "/usr/lib/postgresql; `sh deploy/packages.sh sandbox` installs one"
    )


class Postgres(testing.postgresql.Postgresql):  # type: ignore[misc]  # the library has no types
    """`with Postgres() as server:` is a running PostgreSQL with an empty database `test`.

    It listens on a free port of 127.0.0.1, trusts every user, uses UTF-8 and UTC, does not fsync
    and does not compile queries (jit). If root starts it, it runs as the user postgres or nobody.

    cron_database    where `create extension pg_cron` works; None: pg_cron is not loaded
    server_settings  more settings, for the server's command line

    Start it from a thread that lasts: the server shuts down when that thread ends.
    """

    base_dir: str
    settings: dict[str, Any]
    child_process: subprocess.Popen[bytes] | None
    _owner_pid: int = 0  # no process, until the library's constructor has run

    def __init__(
        self,
        cron_database: str | None = "postgres",
        server_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.programs = find_postgres()
        self.cron_database = cron_database
        self.server_settings = dict(server_settings or {})
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        self._handlers: dict[signal.Signals, Any] = {}
        folder = Path(_temporary_folder(), f"scooters-{os.getpid()}-{os.urandom(4).hex()}")
        super().__init__(
            auto_start=0,
            base_dir=str(folder),
            initdb=str(self.programs / "initdb"),
            postgres=str(self.programs / "postgres"),
        )

    @property
    def version(self) -> int:
        """The major version, 15 to 18."""
        return int(self.programs.parent.name)

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; the same after a restart."""
        return int(self.settings["port"])

    def conninfo(self, dbname: str = "test") -> str:
        """A connection string for libpq and psycopg."""
        return make_conninfo(host="127.0.0.1", port=self.port, user=SUPERUSER, dbname=dbname)

    def environment(self, dbname: str = "test") -> dict[str, str]:
        """This process's environment with libpq's variables set to `dbname`, for psql and make.

        Any other variable about databases (PGSERVICE, DATABASE_URL, ...) is removed.
        """
        return _without_databases(os.environ) | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGDATABASE": dbname,
        }

    def __enter__(self) -> Self:
        self._take_interruptions()
        try:
            self.setup()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def setup(self) -> None:
        """Make the server's folder, and an empty cluster in it."""
        with interruptions_held():
            os.mkdir(self.base_dir, mode=0o700)
            self._use_tmpdir = True  # what cleanup() removes
        os.mkdir(self._socket_folder, mode=0o700)
        if self._account is not None:
            for folder in (self.base_dir, self._socket_folder):
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        self.initialize_database()

    def initialize_database(self) -> None:
        """Run initdb. Raises BootFailed with its output."""
        command = [
            self.initdb,
            f"--pgdata={self.get_data_directory()}",
            f"--username={SUPERUSER}",
            "--no-sync",
            *self.initdb_options(),
        ]
        try:
            with open(self._log, "wb") as log:
                self._spawn(command, log)
                assert self.child_process is not None
                if self.child_process.wait() != 0:
                    raise BootFailed(f"initdb failed:\n{self.read_bootlog()}")
        finally:
            self.kill()

    def initdb_options(self) -> list[str]:
        """initdb's options for authentication, encoding and locale."""
        return ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]

    def start(self) -> None:
        """Start the server and wait until it answers. A second start uses the same data and port.

        Raises BootFailed with the server's log.
        """
        if self.is_alive():
            return
        attempts = 1 if self.settings["port"] else PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            self.prestart()  # the library chooses a free port, if there is none yet
            try:
                self._boot()
                return
            except _PortTaken:
                if attempt == attempts:
                    raise
                self.settings["port"] = None

    def kill(self) -> None:
        """Crash: send SIGKILL to the server and all its processes. Data and port stay."""
        process = self.child_process
        if process is None:
            return
        with interruptions_held():
            if process.poll() is None:
                process.send_signal(signal.SIGSTOP)  # so that it starts no more processes
                children = descendants(process.pid)
                os.killpg(process.pid, signal.SIGKILL)
                for pid in children:  # each backend is a process group of its own
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
                while any(map(is_running, children)):
                    time.sleep(0.01)
            self.child_process = None

    def stop(self, _signal: signal.Signals = signal.SIGQUIT) -> None:
        """Shut down at once and remove every file. May be repeated.

        SIGQUIT skips the checkpoint, which nobody needs: the files go anyway.
        """
        if os.getpid() != self._owner_pid:
            return  # a fork does not own the server
        with interruptions_held():
            self.terminate(_signal)
            self.cleanup()
        self._give_interruptions_back()

    def terminate(self, _signal: signal.Signals = signal.SIGINT) -> None:
        """Shut down and keep the files; kill a server that ignores the signal."""
        if self.child_process is None:
            return
        self.child_process.send_signal(_signal)
        try:
            self.child_process.wait(SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.child_process = None

    def is_server_available(self) -> bool:
        """Whether this server answers. It is asked by its socket: another server may have the
        port."""
        try:
            psycopg.connect(
                host=self._socket_folder,
                port=self.port,
                user=SUPERUSER,
                dbname="template1",
                connect_timeout=int(BOOT_SECONDS),
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def get_server_commandline(self) -> list[str]:
        """The command line that starts the server, as its user."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._socket_folder,
            "fsync": "off",
            "logging_collector": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Shared memory in files of the data folder: even after a crash nothing else is left.
            "dynamic_shared_memory_type": "mmap",
            # A new database has no statistics: plans look expensive, and compiling them takes a
            # hundred times as long as running them.
            "jit": "off",
        }
        if self.cron_database is not None:
            settings |= {
                "shared_preload_libraries": "pg_cron",
                "cron.database_name": self.cron_database,
                "cron.host": self._socket_folder,
            }
        settings |= self.server_settings
        options = [option for pair in settings.items() for option in ("-c", "=".join(pair))]
        return [self.postgres, "-D", self.get_data_directory(), "-p", str(self.port), *options]

    @property
    def _socket_folder(self) -> str:
        return os.path.join(self.base_dir, "tmp")

    @property
    def _log(self) -> str:
        return os.path.join(self.base_dir, f"{self.name}.log")

    def _boot(self) -> None:
        with open(self._log, "wb") as log:
            self._spawn(self.get_server_commandline(), log)
        try:
            self._wait_until_available()
            self.poststart()  # the library creates the database `test`
        except BaseException:
            self.terminate()
            raise

    def _wait_until_available(self) -> None:
        assert self.child_process is not None
        deadline = time.monotonic() + BOOT_SECONDS
        while not self.is_server_available():
            if self.child_process.poll() is not None:
                self.child_process = None
                log = self.read_bootlog()
                failure = _PortTaken if "Address already in use" in log else BootFailed
                raise failure(f"PostgreSQL did not start:\n{log}")
            if time.monotonic() > deadline:
                raise BootFailed(
                    f"PostgreSQL did not answer within {BOOT_SECONDS:g} s:\n{self.read_bootlog()}"
                )
            time.sleep(0.05)

    def _spawn(self, command: list[str], log: Any) -> None:
        """Start `command` as the server's user, in a session of its own.

        Ctrl-C reaches every process of the terminal's foreground group. In another session the
        server does not shut down while its owner still uses it.
        """
        drop_root = []
        if self._account is not None:
            drop_root = [
                f"--reuid={self._account.pw_uid}",
                f"--regid={self._account.pw_gid}",
                "--clear-groups",
            ]
        with interruptions_held():
            self.child_process = subprocess.Popen(
                ["setpriv", "--pdeathsig=INT", *drop_root, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.base_dir,
                env=_without_databases(os.environ) | {"LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )

    def _take_interruptions(self) -> None:
        """Let SIGTERM and SIGHUP raise KeyboardInterrupt too, unless the program handles them.

        The `with` block then ends as it always does.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in INTERRUPTIONS:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, signal.default_int_handler)

    def _give_interruptions_back(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())


def _unprivileged_account() -> pwd.struct_passwd:
    """The user to run as instead of root, which PostgreSQL refuses."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _temporary_folder() -> Path:
    """$TMPDIR if a socket's path fits below it and the server's user may enter it; otherwise
    /tmp."""
    folder = Path(tempfile.gettempdir()).resolve()
    fits = len(os.fsencode(folder)) <= MAX_TEMPORARY_FOLDER_LENGTH
    is_open = all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
    return folder if fits and is_open else Path("/tmp")  # noqa: S108


def _without_databases(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what psql and the notifier read about databases."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("PG") and name != "DATABASE_URL"
    }
