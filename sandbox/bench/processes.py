"""The notifier, what it is compared with, and the server that they send to, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx

from notifier.resources import ROOT
from sandbox.bench.databases import Session
from sandbox.bench.fleet import WrongCount

TOKEN = "1:bench"  # noqa: S105
PATIENCE_SECONDS = 600.0


class Sink:
    """The process that receives the messages (sandbox.bench.sink)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{int(self._line())}"

    def received(self) -> tuple[int, float]:
        """How many messages have arrived since the last call, and the seconds from the first to
        the last of them."""
        found = httpx.get(self.url, trust_env=False).json()
        return found["messages"], found["seconds"]

    def probed_at(self) -> float:
        """Wait for a message to PROBE; returns its time of arrival by time.monotonic()."""
        return float(self._line())

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def started(*command: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block. It has a session of its own, so that Ctrl-C reaches only
    this process."""
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def logged_process(
    name: str, *command: str, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that exits by itself, or that the block stops. Raises WrongCount with the end of
    its log if it fails."""
    with (
        tempfile.TemporaryFile() as log,
        started(*command, env=env, stderr=log) as process,
    ):
        yield process
        if process.wait(PATIENCE_SECONDS):
            log.seek(0)
            raise WrongCount(f"{name} failed: {log.read()[-1000:].decode()}")


def python_process(
    *arguments: str, **options: Any
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Python with these arguments."""
    return started(sys.executable, *arguments, **options)


@contextmanager
def sink_process() -> Iterator[Sink]:
    with python_process("-m", "sandbox.bench.sink", stdout=subprocess.PIPE) as process:
        yield Sink(process)


@contextmanager
def notifier_process(session: Session, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`notifier run`. SIGTERM stops it at the end of the block; with --once it exits by itself.

    Raises WrongCount with the end of its log if it fails.
    """
    environment = os.environ | {"DATABASE_URL": session.conninfo, "TELEGRAM_BOT_TOKEN": TOKEN}
    command = (sys.executable, "-m", "notifier", "run", *options)
    with logged_process("the notifier", *command, env=environment) as process:
        yield process
        if not options:
            process.send_signal(signal.SIGTERM)
