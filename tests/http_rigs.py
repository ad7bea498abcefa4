"""Runs the HTTP server on loopback through the command line, as a user with the roles it needs."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import psycopg

from tests.conftest import PATIENCE_SECONDS, TestDatabase, until
from tests.delivery_rigs import SECRETS, command

TOKEN = "s3cret-of-the-mission-service"
LOGIN = "duty_http"
"""A user with the roles that the HTTP server needs."""


def url_of(*segments: str) -> str:
    """A path of these segments, each percent-encoded."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def skip_url(mission_id: str, point_id: str, job_id: str) -> str:
    return url_of("v1", "missions", mission_id, "points", point_id, "jobs", job_id, "skip")


@dataclass
class HttpProcess:
    """A process that answers HTTP requests."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        until(lambda: self._address() or self.process.poll() is not None)
        assert self._address(), "\n".join(self.lines)
        self.client = httpx.Client(
            base_url=f"http://{self._address()}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=PATIENCE_SECONDS,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def _address(self) -> str | None:
        found = [re.search(r" listening address=(\S+)", line) for line in self.lines]
        return next((match[1] for match in found if match), None)

    @property
    def url(self) -> str:
        return str(self.client.base_url)

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def skip(self, mission_id: str, point_id: str, job_id: str) -> httpx.Response:
        return self.client.post(skip_url(mission_id, point_id, job_id))

    def record(
        self, mission_id: str, event: dict[str, Any], key: str | None = None
    ) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.post(url_of("v1", "missions", mission_id, "events"), event, headers)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        """Sends the body as JSON in ASCII, so that lone surrogates can be sent too."""
        json_headers = {"Content-Type": "application/json", **(headers or {})}
        return self.client.post(path, content=json.dumps(body), headers=json_headers)

    def stop(self) -> int:
        """Sends SIGTERM and returns the exit code."""
        self.process.terminate()
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return code


@contextmanager
def http_user(database: TestDatabase) -> Iterator[dict[str, str]]:
    """The environment of a process that connects as that user and has all secrets."""
    database.connection.execute(
        f"do $$ begin create role {LOGIN} login"
        " in role scooters_ops_notifier, scooters_ops_writer, scooters_ops_operator;"
        " exception when duplicate_object then null; end $$"
    )
    token = {"SCOOTERS_OPS_HTTP_TOKEN": TOKEN}
    yield database.environment | SECRETS | token | {"PGUSER": LOGIN}


def with_files(limit: int, *command: str) -> list[str]:
    """The command with a hard limit of open files."""
    return ["sh", "-c", f'ulimit -n {limit} && exec "$0" "$@"', *command]


@contextmanager
def http_process(
    environment: dict[str, str], *arguments: str, files: int | None = None
) -> Iterator[HttpProcess]:
    """Runs `notifier serve` (or ARGUMENTS) on a free port and kills it at the end.

    files  its hard limit of open files
    """
    serve = command(*(arguments or ("serve",)), "--listen", "127.0.0.1:0")
    with subprocess.Popen(
        serve if files is None else with_files(files, *serve),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield HttpProcess(process)
        finally:
            process.kill()


def is_problem(response: httpx.Response, status: int) -> bool:
    """Whether it is a problem document of that status; fails where it reveals a secret."""
    document = response.json()
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert document["type"] == "about:blank"
    assert document["status"] == response.status_code
    assert document["title"]
    assert document["detail"]
    for secret in (TOKEN, "Traceback", *SECRETS.values()):
        assert secret not in response.text
    return response.status_code == status


def end_sessions(database: TestDatabase) -> None:
    database.connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    until(
        lambda: (
            database.value(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and backend_type = 'client backend'"
            )
            == 1
        )
    )


@contextmanager
def away(database: TestDatabase) -> Iterator[None]:
    """Inside, everybody else is disconnected and cannot connect."""
    with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(f"alter database {database.name} allow_connections false")
        end_sessions(database)
        try:
            yield
        finally:
            admin.execute(f"alter database {database.name} allow_connections true")
