"""Process trees as /proc shows them, and signals that must wait."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INTERRUPTIONS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""What Ctrl-C, `kill` and a closed terminal send."""


@contextmanager
def interruptions_held() -> Iterator[None]:
    """Delay interruptions until the block, which must not be left half done, has ended.

    A process started meanwhile inherits the signal mask. That is harmless here: the PostgreSQL
    server sets its own, and initdb soon ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def descendants(ancestor: int) -> list[int]:
    """The process ids of a process's children, their children and so on."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _status(int(folder.name)):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [ancestor]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie; in a container nobody may reap those."""
    fields = _status(pid)
    return bool(fields) and fields[0] != "Z"


def command_lines_with(text: str) -> list[str]:
    """The command lines of all processes that contain a text, such as a folder's path."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text in command:
            found.append(command)
    return found


def peak_memory_kib(pid: int) -> int | None:
    """The most memory that a process has had (VmHWM); None: there is no such process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0])
    return None  # a zombie has no memory


def _status(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on (state, parent, ...); empty: no process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return stat.rpartition(")")[2].split()  # the second field, the name, may contain anything
