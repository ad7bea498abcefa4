"""The demo cleans up after itself, and keeps its board if asked. That it runs to its end by itself,
.ci/run shows."""

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
import pytest

from notifier.config import ROOT
from tests.conftest import PATIENCE_SECONDS

pytestmark = pytest.mark.slow(seconds=20)


def _processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that speak of a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


@contextmanager
def demo(*options: str) -> Iterator[subprocess.Popen[str]]:
    """The demo, which leaves no process and no file behind."""
    folder = Path("/tmp") / f"demo-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "sandbox.demo", *options],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A script's background jobs inherit SIGINT ignored; the demo on a terminal does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        yield process
        assert list(folder.iterdir()) == []
        assert _processes_of(folder) == []
    finally:
        folder.rmdir()


def until_it_says(process: subprocess.Popen[str], pattern: str) -> str:
    """Reads on to a line in which that is found, and returns what was."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(pattern, line):
            assert _processes_of(Path("/tmp") / f"demo-{os.getpid()}")
            return found[0]
    raise AssertionError(f"it ended without {pattern}")


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Ctrl-C, as a terminal gives it: to all in the foreground. Its code, and what it said."""
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, errors


def test_after_ctrl_c_no_process_and_no_file_is_left() -> None:
    with demo() as process:
        until_it_says(process, "Waiting for pg_cron|passes")
        code, _, errors = end(process)
    assert code == 130
    assert "nothing is left behind" in errors


def test_the_board_of_the_demo_is_served_until_ctrl_c() -> None:
    with demo("--keep") as process:
        url = until_it_says(process, r"http://\S+/board")
        page = httpx.get(url, trust_env=False).text
        code, output, errors = end(process)
    assert "Boris" in page
    assert code == 0, errors
    assert "nothing is left behind" in output
