"""What the notifier tells systemd, and when."""

from __future__ import annotations

import math
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from notifier.resources import ROOT
from notifier.systemd import Service
from sandbox.standins import held
from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.delivery_rigs import TELEGRAM, House, command, make_house

pytestmark = pytest.mark.slow

UNIT = (ROOT / "deploy" / "scooters-notifier.service").read_text("utf-8")
WATCHDOG_SECONDS = 2.0


class Systemd:
    """Stands in for systemd: a socket that keeps the service's messages in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: list[list[str]] = []
        self.times: list[float] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while message := self._socket.recv(4096):
            self.times.append(time.monotonic())
            self.messages.append(message.decode().split("\n"))

    def environment(self, **others: str) -> dict[str, str]:
        """What systemd sets for a service with WatchdogSec=2s."""
        usec = str(round(WATCHDOG_SECONDS * 1e6))
        return {"NOTIFY_SOCKET": self.name, "WATCHDOG_USEC": usec, **others}

    def has(self, line: str) -> bool:
        return any(line in message for message in self.messages)

    def pings(self) -> list[float]:
        """When WATCHDOG=1 arrived."""
        return [
            arrived_at
            for arrived_at, message in zip(self.times, self.messages, strict=False)
            if "WATCHDOG=1" in message
        ]

    def pings_on(self) -> None:
        """Waits until the watchdog was fed three more times."""
        before = len(self.pings())
        until(lambda: len(self.pings()) >= before + 3)

    def falls_silent(self) -> None:
        """Waits until systemd would consider the service hung."""
        until(lambda: time.monotonic() - self.pings()[-1] > WATCHDOG_SECONDS)

    @property
    def status(self) -> str:
        """The last STATUS."""
        lines = [line for message in self.messages for line in message]
        return [line for line in lines if line.startswith("STATUS=")][-1].removeprefix("STATUS=")


@pytest.fixture
def house(database: TestDatabase) -> Iterator[House]:
    with make_house(database) as made:
        made.configure(TELEGRAM, notifier__poll_seconds=3600)
        yield made


@pytest.fixture(params=["path", "abstract"])
def any_systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    """For each kind of socket."""
    names = {"path": str(tmp_path / "notify"), "abstract": f"@scooters-{os.urandom(8).hex()}"}
    listening = Systemd(names[request.param])
    yield listening
    listening.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(str(tmp_path / "notify"))
    yield listening
    listening.close()


@contextmanager
def service(
    house: House, environment: dict[str, str], cwd: Path = ROOT
) -> Iterator[subprocess.Popen[str]]:
    """`notifier run`, killed at the end unless it has ended."""
    with subprocess.Popen(
        command("run"),
        env=house.environment | environment,
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stop(process: subprocess.Popen[str]) -> str:
    """Stops it; returns what it logged."""
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    return errors


def test_it_reports_ready_only_after_it_has_started(house: House, any_systemd: Systemd) -> None:
    with house.database.connect() as other, service(house, any_systemd.environment()) as process:
        with other.transaction():
            other.execute("lock table scooters_ops.configs in access exclusive mode")
            until(lambda: house.is_blocked("config_in_force"))
            assert any_systemd.messages == []
        until(lambda: len(any_systemd.messages) >= 2)
        first, *others = any_systemd.messages
        assert first == ["READY=1", "STATUS=started"]
        assert others[0] == ["STATUS=0 in flight", "WATCHDOG=1"]
        assert " started " in stop(process)
    assert sum("READY=1" in message for message in any_systemd.messages) == 1


@pytest.mark.parametrize(
    "change", [{"TELEGRAM_BOT_TOKEN": ""}, {"PGHOST": "/nowhere"}], ids=["secret", "database"]
)
def test_a_notifier_that_cannot_start_sends_nothing(
    house: House, systemd: Systemd, change: dict[str, str]
) -> None:
    finished = house.process("run", **(systemd.environment() | change))
    assert finished.returncode == 2
    assert systemd.messages == []


def test_the_watchdog_is_fed_while_there_is_nothing_to_do(house: House, systemd: Systemd) -> None:
    with service(house, systemd.environment()) as process:
        until(lambda: systemd.has("READY=1"))
        systemd.pings_on()
        stop(process)


def test_the_watchdog_is_not_fed_while_the_work_loop_waits_for_one_statement(
    house: House, systemd: Systemd
) -> None:
    with service(house, systemd.environment()) as process, house.database.connect() as other:
        until(lambda: bool(systemd.pings()))
        with other.transaction():
            other.execute("lock table scooters_ops.notification_recipients in exclusive mode")
            until(lambda: house.is_blocked("scooters_ops."))
            systemd.falls_silent()
            assert house.is_blocked("scooters_ops.")
        systemd.pings_on()
        stop(process)


def test_a_hung_notifier_logs_where_it_hung_when_aborted_and_the_next_one_goes_on(
    house: House, systemd: Systemd, tmp_path: Path
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600, notifier__lease_seconds=1)
    checkout = tmp_path / "checkout"
    for folder in ("notifier", "templates", "migrations"):
        shutil.copytree(ROOT / folder, checkout / folder)
    template = "templates/en/job_skipped/telegram.text.j2"
    loop = "{% for _ in range(99999) %}"
    (checkout / template).write_text(f"{loop}\n{loop}{'{% endfor %}' * 2}")
    dump = {"PYTHONFAULTHANDLER": "1"}
    assert "\nEnvironment=PYTHONFAULTHANDLER=1\n" in UNIT

    with service(house, systemd.environment(**dump), cwd=checkout) as process:
        until(lambda: bool(systemd.pings()))
        house.skip()
        systemd.falls_silent()
        process.send_signal(signal.SIGABRT)  # as systemd does
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGABRT
        assert re.search(rf'File ".*{template}", line \d+ in ', errors), errors

    with service(house, systemd.environment()) as process:
        until(house.is_sent)
        stop(process)
    assert len(house.telegram.messages) == 1


def test_an_absent_database_is_shown_and_is_not_a_hang(house: House, systemd: Systemd) -> None:
    with service(house, systemd.environment()) as process:
        until(lambda: bool(systemd.pings()))
        with house.without_database():
            until(lambda: systemd.status.startswith("no database since "))
            systemd.pings_on()
            since = systemd.status
            assert re.fullmatch(r"no database since \d{4}-[-\d]+T[:\d]+Z, 0 in flight", since)
        until(lambda: systemd.status == "0 in flight")
        with house.without_database():
            until(lambda: systemd.status.startswith("no database since "))
            assert systemd.status > since, "the second outage has its own start"
        stop(process)


def test_it_reports_that_it_stops_and_asks_for_time_for_what_is_in_flight(
    house: House, systemd: Systemd
) -> None:
    answer = threading.Event()
    house.telegram.script(held(answer))
    with service(house, systemd.environment()) as process:
        until(lambda: systemd.has("READY=1"))
        house.skip()
        until(lambda: bool(house.telegram.messages))
        process.terminate()
        until(lambda: systemd.has("STOPPING=1"))
        systemd.pings_on()
        assert house.states() == ["sending"]
        answer.set()
        stop(process)
    assert house.states() == ["sent"]
    said = next(at for at, message in enumerate(systemd.messages) if "STOPPING=1" in message)
    assert systemd.messages[said] == ["STOPPING=1", "STATUS=stopping, 1 in flight"]
    assert [
        "STATUS=stopping, 1 in flight",
        "WATCHDOG=1",
        f"EXTEND_TIMEOUT_USEC={round(WATCHDOG_SECONDS * 1e6)}",
    ] in systemd.messages[said + 1 :]
    assert not any("EXTEND" in line for message in systemd.messages[:said] for line in message)


def test_without_a_socket_nothing_is_sent(house: House, systemd: Systemd) -> None:
    environment = systemd.environment()
    del environment["NOTIFY_SOCKET"]
    with service(house, environment) as process:
        house.skip()
        until(house.is_sent)
        assert [line.split()[2] for line in stop(process).splitlines()] == [
            "started",
            "sent",
            "stopping",
        ]
    assert systemd.messages == []


def test_without_free_file_descriptors_the_work_loop_goes_on_and_feeds_the_watchdog(
    house: House, systemd: Systemd
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=0.2)  # how often it reports to the database
    with service(house, systemd.environment()) as process:
        until(lambda: len(systemd.pings()) > 1)
        used = {int(path.name) for path in Path(f"/proc/{process.pid}/fd").iterdir()}
        lowest_free = min({*range(len(used) + 1)} - used)
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        systemd.pings_on()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
        lines = stop(process).splitlines()
    assert [line.split()[2] for line in lines] == ["started", "stopping"]


def test_the_watchdog_of_another_process_is_not_fed(house: House, systemd: Systemd) -> None:
    with service(house, systemd.environment(WATCHDOG_PID=str(os.getpid()))) as process:
        house.skip()
        until(house.is_sent)
        stop(process)
    assert systemd.has("READY=1")
    assert systemd.pings() == []


def test_a_socket_without_a_listener_stops_no_delivery_and_is_logged_once(house: House) -> None:
    with service(house, {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "200000"}) as process:
        house.skip()
        until(house.is_sent)
        errors = stop(process)
    assert errors.count("WARNING systemd_unreachable ") == 1


def test_the_work_loop_rests_for_at_most_half_of_the_watchdogs_time(
    systemd: Systemd,
) -> None:
    own = Service(systemd.environment(WATCHDOG_PID=str(os.getpid())))
    assert own.rest_seconds == WATCHDOG_SECONDS / 2
    assert Service({}).rest_seconds == math.inf


def test_a_busy_loop_does_not_flood_systemd(systemd: Systemd) -> None:
    busy = Service(systemd.environment(WATCHDOG_PID=str(os.getpid())))
    for in_flight in range(1000):
        busy.at_work(in_flight)
    busy.stopping(0)
    until(lambda: systemd.has("STOPPING=1"))
    assert len(systemd.pings()) == 1
