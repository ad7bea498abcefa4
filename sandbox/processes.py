"""A private PostgreSQL with pg_cron that lives as long as a `with` block.

Nothing of it outlives the block: no process and no file, also after Ctrl-C, SIGTERM or SIGHUP.
If its owner is killed outright (SIGKILL), the server shuts itself down and only its files stay.
"""

import os
import pwd
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
import testing.postgresql
from psycopg.conninfo import make_conninfo

VERSIONS = (18, 17, 16, 15)
SUPERUSER = "postgres"
BOOT_SECONDS = 30.0
SHUTDOWN_SECONDS = 10.0
PORT_ATTEMPTS = 5

# A Unix socket's path has at most 107 characters; the server adds a folder and ".s.PGSQL.<port>".
LONGEST_TEMPORARY_FOLDER = 60

# Sent by a terminal, `kill` and a closed window: each becomes KeyboardInterrupt, after which the
# `with` block ends as it always does.
INTERRUPTIONS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class NoPostgres(RuntimeError):
    """No PostgreSQL with pg_cron and plpgsql_check is installed."""


class BootFailed(RuntimeError):
    """The server did not come up; the message holds its log."""


class _PortTaken(BootFailed):
    """Somebody took the free port between the choice and the start."""


def find_postgres() -> Path:
    """The folder of the newest PostgreSQL's programs that has both extensions beside it.

    These are the places of Debian's packages; deploy/packages.sh looks for the same files.
    """
    for version in VERSIONS:
        home = Path(f"/usr/lib/postgresql/{version}")
        needed = ("bin/initdb", "bin/postgres", "lib/pg_cron.so", "lib/plpgsql_check.so")
        if all((home / path).exists() for path in needed):
            return home / "bin"
    raise NoPostgres(
        f"no PostgreSQL {VERSIONS[-1]} to {VERSIONS[0]} with pg_cron and plpgsql_check under "
        "/usr/lib/postgresql: `sh deploy/packages.sh sandbox` installs one"
    )


class Postgres(testing.postgresql.Postgresql):  # type: ignore[misc]  # the library has no types
    """`with Postgres() as server:` is a running PostgreSQL with an empty database `test`.

    It listens on 127.0.0.1 at a free port, trusts everybody, speaks UTF-8 and UTC, and does not
    fsync. pg_cron is loaded, with its tables to be created (`create extension pg_cron`) in
    `cron_database`; None leaves pg_cron out. As root it runs as the user postgres or nobody.

    Start it from a thread that stays: the server shuts down when the thread that started it ends.
    """

    base_dir: str
    settings: dict[str, Any]
    child_process: subprocess.Popen[bytes] | None
    _owner_pid: int = 0  # nobody's, until the library's constructor has run

    def __init__(self, cron_database: str | None = "postgres") -> None:
        self.programs = find_postgres()
        self.cron_database = cron_database
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
        """The TCP port on 127.0.0.1, the same after every start."""
        return int(self.settings["port"])

    def conninfo(self, dbname: str = "test") -> str:
        """libpq's connection string, for psycopg."""
        return make_conninfo(host="127.0.0.1", port=self.port, user=SUPERUSER, dbname=dbname)

    def environment(self, dbname: str = "test") -> dict[str, str]:
        """This process's environment, but libpq's variables point at `dbname`: for psql and make.

        Whatever else it says of databases (PGSERVICE, DATABASE_URL, ...) is left out.
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
        """Make the server's folder and an empty cluster in it."""
        with _interruptions_held():
            os.mkdir(self.base_dir, mode=0o700)
            self._use_tmpdir = True  # what cleanup() removes
        os.mkdir(self._socket_folder, mode=0o700)
        if self._account is not None:
            for folder in (self.base_dir, self._socket_folder):
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        self.initialize_database()

    def initialize_database(self) -> None:
        """Run initdb; BootFailed with what it said when it fails."""
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
        """Whom the server trusts, and what characters it knows."""
        return ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]

    def start(self) -> None:
        """Start the server and wait until it answers; after kill(), on the same port and data.

        BootFailed, with the server's log, when it does not come up.
        """
        if self.is_alive():
            return
        attempts = 1 if self.settings["port"] else PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            self.prestart()  # chooses a free port where none is set
            try:
                self._boot()
                return
            except _PortTaken:
                if attempt == attempts:
                    raise
                self.settings["port"] = None

    def kill(self) -> None:
        """Crash: SIGKILL to the server and all its processes, at once. Data and port stay."""
        process = self.child_process
        if process is None:
            return
        with _interruptions_held():
            if process.poll() is None:
                process.send_signal(signal.SIGSTOP)  # so that it starts no more processes
                descendants = _descendants(process.pid)
                os.killpg(process.pid, signal.SIGKILL)
                for pid in descendants:  # each backend is a process group of its own
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()
                while any(map(_is_running, descendants)):
                    time.sleep(0.01)
            self.child_process = None

    def stop(self, _signal: signal.Signals = signal.SIGINT) -> None:
        """Shut down without waiting for clients, and remove every file. Harmless when repeated."""
        if os.getpid() != self._owner_pid:
            return  # a fork of the owner: the server is not its own
        with _interruptions_held():
            self.terminate(_signal)
            self.cleanup()
        self._give_interruptions_back()

    def terminate(self, _signal: signal.Signals = signal.SIGINT) -> None:
        """Shut down and keep the files; a server that does not heed the signal is killed."""
        if self.child_process is None:
            return
        self.child_process.send_signal(_signal)
        try:
            self.child_process.wait(SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self.child_process = None

    def is_server_available(self) -> bool:
        """Whether this server, and no other that has its port, answers: its socket is its alone."""
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
        """The server's own command line, before any change of user."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._socket_folder,
            "fsync": "off",
            "logging_collector": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # In files of the data folder, which go with it even after a crash.
            "dynamic_shared_memory_type": "mmap",
        }
        if self.cron_database is not None:
            settings |= {
                "shared_preload_libraries": "pg_cron",
                "cron.database_name": self.cron_database,
                "cron.host": self._socket_folder,
            }
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
            self.poststart()  # creates the database `test`
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
                raise BootFailed(f"PostgreSQL does not answer:\n{self.read_bootlog()}")
            time.sleep(0.05)

    def _spawn(self, command: list[str], log: Any) -> None:
        """Start `command` as the server's user, in a session of its own.

        A session of its own, for Ctrl-C goes to every process of the terminal's foreground group:
        the server must not shut down by itself while its owner is still at work with it.
        """
        drop_root = []
        if self._account is not None:
            drop_root = [
                f"--reuid={self._account.pw_uid}",
                f"--regid={self._account.pw_gid}",
                "--clear-groups",
            ]
        with _interruptions_held():
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
        """Let SIGTERM and SIGHUP be KeyboardInterrupt too, unless the program has its own way."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in INTERRUPTIONS:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, signal.default_int_handler)

    def _give_interruptions_back(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())


def _unprivileged_account() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _temporary_folder() -> Path:
    """$TMPDIR where a socket's path fits below it and the server's user may enter it; else /tmp."""
    folder = Path(tempfile.gettempdir()).resolve()
    fits = len(os.fsencode(folder)) <= LONGEST_TEMPORARY_FOLDER
    is_open = all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))
    return folder if fits and is_open else Path("/tmp")  # noqa: S108


def _without_databases(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("PG") and name != "DATABASE_URL"
    }


@contextmanager
def _interruptions_held() -> Iterator[None]:
    """What must not be left half done: an interruption comes when it is done.

    A process started meanwhile inherits the mask: the server soon sets its own, initdb soon ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _descendants(ancestor: int) -> list[int]:
    """The process ids of a process's children, their children and so on."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _status(int(folder.name)):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [ancestor]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _is_running(pid: int) -> bool:
    """Whether the process is there and no zombie, which nobody may ever reap in a container."""
    fields = _status(pid)
    return bool(fields) and fields[0] != "Z"


def _status(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on (state, parent, ...); empty: no process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return stat.rpartition(")")[2].split()  # the second, the name, may hold anything
