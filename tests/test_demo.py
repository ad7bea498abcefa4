"""The demo leaves nothing behind, and serves its board if asked. .ci/run runs it to its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from notifier.resources import ROOT
from sandbox.demo.fleet import EXPECTED_TOKENS, LEFT
from sandbox.demo.settings import DATABASE
from sandbox.processes import command_lines_with
from tests.conftest import PATIENCE_SECONDS, until

pytestmark = pytest.mark.slow(seconds=20)

FOLDER = Path("/tmp") / f"demo-{os.getpid()}"


@contextmanager
def demo(*options: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that must leave no process and no file behind."""
    FOLDER.mkdir(mode=0o755)
    try:
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "sandbox.demo", *options],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(FOLDER)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A script's background jobs inherit an ignored SIGINT; a terminal's demo does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            yield process
        assert list(FOLDER.iterdir()) == []
        assert command_lines_with(str(FOLDER)) == []
    finally:
        FOLDER.rmdir()


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """Read the demo's output up to a line that matches; returns the match."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(pattern, line):
            assert command_lines_with(str(FOLDER))
            return found[0]
    raise AssertionError(f"the demo ended without {pattern}")


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Ctrl-C, which reaches all of the terminal's foreground group. Returns the exit code, the
    output and the errors."""
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, errors


def run_passes() -> None:
    """Do pg_cron's work until everything is sent: pg_cron may start a job only at the full
    minute, and the test should not wait for it."""
    (pid_file,) = FOLDER.glob("*/data/postmaster.pid")
    port = pid_file.read_text().splitlines()[3]
    with psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", dbname=DATABASE, autocommit=True
    ) as connection:

        def sent_after_a_pass() -> set[str]:
            connection.execute("call scooters_ops.detect_in_batches()")
            rows = connection.execute(
                "select idempotency_token from scooters_ops.notifications where completed"
                " union all"
                " select idempotency_token || ' resolved' from scooters_ops.notification_steps"
                " where step = 'resolved' and sended"
            )
            return {token for (token,) in rows}

        until(lambda: sent_after_a_pass() >= EXPECTED_TOKENS | {f"{LEFT} resolved"})


def test_after_ctrl_c_no_process_and_no_file_is_left() -> None:
    with demo() as process:
        read_until(process, "Messages sent")
        code, _, errors = interrupt(process)
    assert code == 130
    assert "no process and no file is left" in errors


def test_keep_serves_the_board_until_ctrl_c() -> None:
    with demo("--keep") as process:
        read_until(process, "Messages sent")
        run_passes()
        url = read_until(process, r"http://\S+/board")
        page = httpx.get(url, trust_env=False).text
        code, output, errors = interrupt(process)
    assert "Boris" in page
    assert code == 0, errors
    assert "no process and no file is left" in output
