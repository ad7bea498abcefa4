"""Tells systemd that the notifier has started, works or stops, with a line for `systemctl status`.

The protocol is sd_notify(3): one datagram per message, to the socket that NOTIFY_SOCKET names.
systemd aborts the process if it hears no WATCHDOG=1 for WATCHDOG_USEC.

The watchdog is not fed by a timer but by the work loop itself: after each complete cycle, which has
reached the database, and after each attempt to reach it. An absent database is not a hang, and a
restart would not bring it back; a loop that neither works nor tries hangs, and a restart helps.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from logging import WARNING

from notifier.logs import event
from notifier.text import one_line

SEND_SECONDS = 0.5
# The loop may run many times a second; systemd need not hear of each cycle.
QUIET_SECONDS = 1.0
MAX_PROBLEM_LENGTH = 200


class Service:
    """This process as a systemd unit. Without NOTIFY_SOCKET it sends nothing.

    Its methods never raise: deliveries do not depend on whether systemd listens.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._watchdog_seconds = _watchdog_seconds(environment)
        self._quiet_until = -math.inf
        self._without_database_since: datetime | None = None
        self._problem: str | None = None
        self._is_stopping = False
        self._is_unreachable = False
        self._socket: socket.socket | None = None

    @property
    def rest_seconds(self) -> float:
        """How long the work loop may rest between two cycles: half of the watchdog's time."""
        return self._watchdog_seconds / 2

    def ready(self) -> None:
        """The notifier has started: it can use its config, and has reached the database."""
        self._send("READY=1", "STATUS=started")

    def at_work(self, in_flight: int, problem: str | None = None) -> None:
        """The work loop has completed a cycle.

        in_flight  how many sends are in flight
        problem    what does not work in spite of that
        """
        if self._without_database_since is not None or problem != self._problem:
            self._without_database_since = None
            self._problem = problem
            self._quiet_until = -math.inf
        self._progressed(f"{in_flight} in flight" + (f", {_short(problem)}" if problem else ""))

    def without_database(self, in_flight: int, problem: str | None = None) -> None:
        """The database was lost, or one more attempt to reach it has failed. `problem`: what it
        refuses if it can be reached."""
        if self._without_database_since is None:
            self._without_database_since = datetime.now(UTC)
            self._quiet_until = -math.inf
        since = f"{self._without_database_since:%Y-%m-%dT%H:%M:%SZ}"
        what = _short(problem) if problem else "no database"
        self._progressed(f"{what} since {since}, {in_flight} in flight")

    def stopping(self, in_flight: int) -> None:
        """The notifier was told to stop, and finishes what is in flight."""
        self._is_stopping = True
        self._send("STOPPING=1", f"STATUS=stopping, {in_flight} in flight")

    def _progressed(self, status: str) -> None:
        now = time.monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + min(QUIET_SECONDS, self.rest_seconds / 2)
        lines = [f"STATUS=stopping, {status}" if self._is_stopping else f"STATUS={status}"]
        if self._watchdog_seconds < math.inf:
            lines.append("WATCHDOG=1")
            if self._is_stopping:  # sends in flight may take longer than TimeoutStopSec
                lines.append(f"EXTEND_TIMEOUT_USEC={round(self._watchdog_seconds * 1e6)}")
        self._send(*lines)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            if self._socket is None:  # kept: the watchdog must be fed even if files run out
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.settimeout(SEND_SECONDS)
            self._socket.sendto("\n".join(lines).encode(), self._address)
            self._is_unreachable = False
        except OSError as error:
            if not self._is_unreachable:
                self._is_unreachable = True
                event(WARNING, "systemd_unreachable", reason=error)


def _short(problem: str) -> str:
    return one_line(problem)[:MAX_PROBLEM_LENGTH]


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """How long systemd waits for a sign of life; infinity: it does not wait for any."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return math.inf
    return float(environment.get("WATCHDOG_USEC", "inf")) / 1e6
