"""The demo cleans up after itself. That it runs to its end, .ci/run shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from notifier.config import ROOT


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


def test_after_ctrl_c_no_process_and_no_file_is_left() -> None:
    folder = Path("/tmp") / f"demo-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        demo = subprocess.Popen(
            [sys.executable, "-u", "-m", "sandbox.demo"],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A script's background jobs inherit SIGINT ignored; the demo on a terminal does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert demo.stdout is not None
        assert demo.stderr is not None
        for line in demo.stdout:
            if "Waiting for pg_cron" in line or "passes" in line:
                break
        assert _processes_of(folder)
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does, to all in the foreground
        assert demo.wait(30) == 130
        assert "nothing is left behind" in demo.stderr.read()
        assert list(folder.iterdir()) == []
        assert _processes_of(folder) == []
    finally:
        folder.rmdir()
