"""Clients that send nothing, send slowly or do not read: they delay neither delivery nor other
clients, and are soon cut."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from notifier.metrics import Metrics
from notifier.secrets import Secrets
from notifier.web import client_connections
from notifier.web.address import Address
from notifier.web.server import open_server
from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.delivery_rigs import TELEGRAM, House, command, make_house
from tests.http_rigs import TOKEN, HttpProcess, http_process, http_user, skip_url, with_files

pytestmark = pytest.mark.slow

FILES = 256
CROWD = 2000
AUTHORIZED = f"POST /v1/missions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
HALF_BODY = AUTHORIZED + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
UNREAD = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 2000
SPOKEN = {
    "nothing": b"",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "half a body": HALF_BODY,
    "half a body without the token": b"POST /v1/missions HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 1000\r\n\r\n{",
    "requests whose answers it does not read": UNREAD,
}
"""What a client sends before it falls silent or continues byte by byte."""
CROWDS = {
    **{name: SPOKEN[name] for name in ("nothing", "half a head", "half a body")},
    "a question of its own": b"GET /board?city=NUMBER HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.fixture
def house(database: TestDatabase) -> Iterator[House]:
    with make_house(database) as made:
        made.configure(TELEGRAM, notifier__poll_seconds=0.2)
        yield made


@pytest.fixture
def environment(house: House) -> Iterator[dict[str, str]]:
    with http_user(house.database) as variables:
        yield variables


def metric(process: HttpProcess, name: str, **labels: str) -> float:
    text = process.client.get("/metrics").text
    (found,) = (
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"scooters_ops_{name}" and sample.labels == labels
    )
    return found


def address_of(process: HttpProcess) -> tuple[str, int]:
    url = process.client.base_url
    assert url.port is not None
    return url.host, url.port


# --- a crowd -------------------------------------------------------------------------------------


@dataclass
class Crowd:
    """Connects again and again, sends the same each time with another NUMBER, and keeps up to CROWD
    connections open."""

    address: tuple[str, int]
    said: bytes
    made: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def press(self) -> None:
        kept: deque[socket.socket] = deque()
        while not self._stop.is_set():
            caller = socket.socket()
            kept.append(caller)
            with contextlib.suppress(OSError):
                caller.settimeout(1)
                caller.connect(self.address)
                caller.setblocking(False)
                caller.send(self.said.replace(b"NUMBER", b"%d" % self.made))
                self.made += 1
            if len(kept) > CROWD:
                kept.popleft().close()
        for caller in kept:
            caller.close()

    @contextmanager
    def pressing(self) -> Iterator[None]:
        """Inside, the crowd is connected and keeps connecting."""
        thread = threading.Thread(target=self.press)
        thread.start()
        try:
            until(lambda: self.made > CROWD)
            yield
        finally:
            self._stop.set()
            thread.join()


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Raises this process's limit of open files, so that the crowd fits into it."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] != resource.RLIM_INFINITY and limits[1] < CROWD + 500:
        pytest.skip(f"this process may open only {limits[1]} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], CROWD + 500), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def skips(url: str) -> bool:
    """Whether the request is answered. False: it was cut before its token was read; repeat it."""
    try:
        answer = httpx.post(
            url,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )
    except httpx.TransportError:
        return False
    assert answer.status_code == 200
    return True


@pytest.mark.usefixtures("_many_files")
@pytest.mark.parametrize("said", CROWDS)
def test_two_thousand_strangers_connections_delay_neither_messages_nor_callers(
    house: House, environment: dict[str, str], said: str
) -> None:
    house.database.create_mission("m2")
    with http_process(environment, "run", files=FILES) as process:
        until(lambda: " started " in process.log)
        with (
            house.database.connect() as other,
            other.transaction(),
            Crowd(address_of(process), CROWDS[said]).pressing(),
        ):
            other.execute("lock table scooters_ops.detection_passes")  # keeps the board waiting
            house.skip()
            until(house.is_sent)
            until(lambda: skips(process.url + skip_url("m2", "p1", "j1")))
            until(lambda: len(house.telegram.messages) == 2)
        until(lambda: metric(process, "http_connections_cut_total", reason="crowded") > 0)
        assert metric(process, "database_errors_total", part="notifier") == 0
        assert process.stop() == 0
        assert "out of system resource" not in process.log
        assert "unreachable" not in process.log


# --- one slow client -----------------------------------------------------------------------------


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch, metrics: Metrics) -> AsyncIterator[Address]:
    """Runs the HTTP server in this process."""
    async with open_server(Address("127.0.0.1", 0), Secrets(), metrics) as server:
        task = asyncio.create_task(server.serve_until_stopped())
        yield server.address
        server.stop()
        await task


async def hang_on(address: Address, said: bytes) -> None:
    """Sends `said`, continues byte by byte, reads nothing, and returns when the server cuts it."""
    _, writer = await asyncio.open_connection(address.host, address.port, limit=1024)
    with contextlib.suppress(ConnectionError):
        writer.write(said)
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.1)
            if writer.transport.is_closing():
                break
    writer.close()


def test_only_a_client_that_keeps_the_server_waiting_is_cut(
    house: House, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.database.create_mission()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for wait in client_connections.MAX_WAIT_SECONDS:
        monkeypatch.setitem(client_connections.MAX_WAIT_SECONDS, wait, 2)
    metrics = Metrics()

    async def answered(address: Address) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as client:
            return await client.post(
                f"http://{address}{skip_url('m1', 'p1', 'j1')}",
                headers={"Authorization": f"Bearer {TOKEN}"},
            )

    async def play() -> httpx.Response:
        async with serving(monkeypatch, metrics) as address, asyncio.timeout(PATIENCE_SECONDS):
            with house.database.connect() as other, other.transaction():
                other.execute("select from scooters_ops.mission_jobs for update")
                patient = asyncio.create_task(answered(address))
                await asyncio.to_thread(until, lambda: house.is_blocked("skip_job"))
                await asyncio.gather(*(hang_on(address, said) for said in SPOKEN.values()))
                assert not patient.done()
            return await patient

    assert asyncio.run(play()).json() == {"skipped": True}
    assert metrics.http_connections_cut.labels("slow")._value.get() == len(SPOKEN)
    assert metrics.http_connections_cut.labels("crowded")._value.get() == 0


def test_silent_connections_do_not_delay_the_shutdown(
    house: House, environment: dict[str, str]
) -> None:
    with http_process(environment, "serve") as process, contextlib.ExitStack() as callers:
        for said in SPOKEN.values():
            caller = callers.enter_context(socket.create_connection(address_of(process)))
            caller.setblocking(False)
            caller.send(said)
        # Once this one is answered, the silent ones are connected as well.
        assert process.client.get("/healthz").status_code == 200
        assert process.stop() == 0
        assert "graceful shutdown exceeded" not in process.log


# --- strangers and the log -----------------------------------------------------------------------


def test_requests_without_the_token_are_counted_and_logged_at_a_bounded_rate(
    environment: dict[str, str],
) -> None:
    with http_process(environment) as process:
        before = len(process.lines)
        del process.client.headers["Authorization"]
        for _ in range(50):
            assert process.skip("m1", "p1", "j1").status_code == 401
        assert metric(process, "http_unauthorized_total") == 50
        logged = process.lines[before:]
        assert 1 <= len(logged) < 10, "a line a minute"
        assert " WARNING http_unauthorized count=1 peer=127.0.0.1" in logged[0]


def test_malformed_requests_do_not_fill_the_log(environment: dict[str, str]) -> None:
    with http_process(environment) as process:
        before = len(process.lines)
        for request in (
            b"garbage\r\n\r\n",
            b"GET /x HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade",
        ):
            with socket.create_connection(address_of(process), timeout=PATIENCE_SECONDS) as caller:
                caller.sendall(request + b"\r\nHost: x\r\n\r\n")
                assert caller.recv(100).startswith(b"HTTP/1.1 4")
        assert process.stop() == 0
        assert process.lines[before:] == []


# --- files ---------------------------------------------------------------------------------------


def test_with_too_low_a_file_limit_it_does_not_start_and_says_why(
    environment: dict[str, str],
) -> None:
    finished = subprocess.run(
        with_files(64, *command("serve", "--listen", "127.0.0.1:0")),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert finished.stderr == (
        "notifier: cannot listen on 127.0.0.1:0: this process may open only 64 files,"
        " and needs 256 (ulimit -n)\n"
    )


def test_the_file_limit_is_raised_to_its_hard_limit(environment: dict[str, str]) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, limits[1]))
    try:
        with http_process(environment) as process:
            soft, hard = resource.prlimit(process.process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert hard == limits[1]
    assert soft > FILES
