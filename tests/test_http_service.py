"""The HTTP server as a process: its start and its end, alone and beside the notifier."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from notifier.delivery.notifier import Notifier
from notifier.metrics import Metrics
from notifier.resources import ROOT
from notifier.secrets import Secrets
from notifier.web.address import Address
from notifier.web.server import HttpServer, open_server, run_together
from sandbox.standins import held, late
from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.delivery_rigs import TELEGRAM, House, make_house
from tests.http_rigs import TOKEN, http_process, http_user

pytestmark = pytest.mark.slow


@pytest.fixture
def house(database: TestDatabase) -> Iterator[House]:
    with make_house(database) as made:
        made.configure(TELEGRAM, notifier__poll_seconds=0.2)
        yield made


@pytest.fixture
def environment(house: House) -> Iterator[dict[str, str]]:
    with http_user(house.database) as variables:
        yield variables


def test_a_skip_over_http_is_delivered_by_the_same_process(
    house: House, environment: dict[str, str]
) -> None:
    house.configure(TELEGRAM, notifier__poll_seconds=3600)
    house.database.create_mission()
    with http_process(environment, "run") as process:
        assert process.skip("m1", "p1", "j1").json() == {"skipped": True}
        until(house.is_sent)
        assert process.stop() == 0
    assert len(house.telegram.messages) == 1


def test_serve_delivers_nothing(house: House, environment: dict[str, str]) -> None:
    house.database.create_mission()
    with http_process(environment) as process:
        assert process.skip("m1", "p1", "j1").json() == {"skipped": True}
        assert process.client.get("/readyz").json()["ready"] is True
        assert process.stop() == 0
    assert house.states() == []
    assert house.database.tokens() == ["m1_p1_j1_job_skipped"]


def test_without_listen_no_port_is_opened(house: House) -> None:
    assert "listening" not in house.process("run", "--once").stderr


def test_sigterm_finishes_the_send_and_the_request_in_progress(
    house: House, environment: dict[str, str]
) -> None:
    sent = threading.Event()
    house.telegram.script(held(sent))
    house.database.create_mission()
    with http_process(environment, "run") as process, ThreadPoolExecutor(1) as pool:
        house.skip("m2")
        until(lambda: bool(house.telegram.messages))
        with house.database.connect() as other, other.transaction():
            other.execute(
                "select from scooters_ops.mission_jobs where mission_id = 'm1' for update"
            )
            answer = pool.submit(process.skip, "m1", "p1", "j1")
            until(lambda: house.is_blocked("skip_job"))
            process.process.terminate()
            until(lambda: _is_refused(process.url))
            sent.set()
        assert answer.result().json() == {"skipped": True}
        assert process.process.wait(PATIENCE_SECONDS) == 0
        assert process.log.count(" stopping ") == 1
    assert "sent" in house.states()
    assert house.database.value("select count(*) from scooters_ops.notifiers") == 0


def _is_refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/healthz", trust_env=False)
    except httpx.ConnectError:
        return True
    return False


@pytest.mark.parametrize("arguments", [["run"], ["serve"]])
def test_an_address_in_use_is_named_and_nothing_starts(house: House, arguments: list[str]) -> None:
    house.skip()
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        finished = house.cli(*arguments, "--listen", address)
    assert finished.returncode == 2
    assert finished.stderr == f"notifier: cannot listen on {address}: Address already in use\n"
    assert house.telegram.messages == []


def test_a_notifier_that_cannot_start_ends_the_server_too(house: House) -> None:
    finished = house.cli("run", "--listen", "127.0.0.1:0", TELEGRAM_BOT_TOKEN=None)
    assert finished.returncode == 2
    assert "notifier: secret TELEGRAM_BOT_TOKEN is missing" in finished.stderr


@pytest.mark.parametrize("command", ["run", "serve"])
def test_without_a_database_at_the_start_it_exits_and_says_why(house: House, command: str) -> None:
    finished = house.cli(command, "--listen", "127.0.0.1:0", PGHOST="/nowhere")
    assert finished.returncode == 2
    assert finished.stderr.startswith("notifier: no database: ")


def test_an_http_server_that_fails_makes_the_notifier_finish_its_work(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)
    house.telegram.script(late(1))

    async def fail(server: HttpServer, sockets: object) -> None:
        await asyncio.to_thread(until, lambda: bool(house.telegram.messages))
        raise RuntimeError("the server is broken")

    monkeypatch.setattr(HttpServer, "serve", fail)

    async def both() -> None:
        notifier = Notifier(ROOT / "templates", Secrets())
        address = Address.parse("127.0.0.1:0")
        async with open_server(address, Secrets(), Metrics()) as server:
            await run_together(server, notifier, asyncio.Event())

    house.skip()
    with pytest.raises(RuntimeError, match="the server is broken"):
        asyncio.run(both())
    assert house.states() == ["sent"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:0", Address("::1", 0)),
        ("localhost:80", Address("localhost", 80)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "127.0.0.1", "::1:8080", "a:b", "a:65536", "a:-1", "[]:1"]
)
def test_a_malformed_address_is_refused_by_the_command_line(house: House, text: str) -> None:
    finished = house.cli("serve", f"--listen={text}")
    assert finished.returncode == 2
    assert "is not HOST:PORT, such as 127.0.0.1:8080" in finished.stderr


def test_once_and_listen_exclude_each_other(house: House) -> None:
    finished = house.cli("run", "--once", "--listen", "127.0.0.1:0")
    assert finished.returncode == 2
    assert "run --once cannot --listen: it ends too soon to answer requests" in finished.stderr


def test_the_token_is_in_no_log(house: House, environment: dict[str, str]) -> None:
    with http_process(environment, "--log-level", "debug", "serve") as process:
        process.skip("m1", "p1", TOKEN)
        httpx.get(f"{process.url}/{TOKEN}?token={TOKEN}", trust_env=False)
        process.stop()
        assert TOKEN not in process.log
