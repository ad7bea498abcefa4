"""The whole system on one machine, on real parts: `make demo`.

It starts a private PostgreSQL with pg_cron, stand-ins for Telegram and Tracker that speak the real
protocols, and the notifier as a process of its own. Seven couriers call create_mission,
record_event and skip_job; then one of them leaves his point, and somebody takes care of another
one's skip. The demo prints the messages and tickets that arrived, what they say in the end, and
what the database says. When it ends, no process and no file is left.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import psycopg

from notifier.resources import ROOT
from sandbox.commands import StatusLine, exit_code_of
from sandbox.databases import create_migrated
from sandbox.demo.fleet import (
    EXPECTED_TOKENS,
    FLEET,
    LEFT,
    SKIPPED,
    play,
    play_afterwards,
)
from sandbox.demo.output import (
    say,
    show_afterwards,
    show_fleet,
    show_messages,
    show_passes,
    show_timeouts,
    title,
)
from sandbox.demo.settings import CHAT, DATABASE, LEADS, QUEUE, SECRETS, demo_config
from sandbox.postgres import Postgres
from sandbox.standins import TelegramStandIn, TrackerStandIn

PATIENCE_SECONDS = 100.0
"""How long everything may take to be noticed and sent."""
EXIT_SECONDS = 30.0
"""How long the notifier may take to exit."""


class DemoFailed(Exception):
    """The demo did not show what it promises."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--keep", action="store_true", help="serve the board until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return exit_code_of("demo", lambda: _demo(keep=options.keep), DemoFailed)


def _demo(*, keep: bool) -> int:
    say("Starting a private PostgreSQL with pg_cron")
    with (
        Postgres() as server,
        TelegramStandIn(SECRETS["TELEGRAM_BOT_TOKEN"], [CHAT, LEADS]) as telegram,
        TrackerStandIn(
            SECRETS["TRACKER_TOKEN"],
            organization=("X-Org-ID", SECRETS["TRACKER_ORG_ID"]),
            queues=[QUEUE],
        ) as tracker,
    ):
        say("Migrating a database, applying a config, scheduling detection")
        create_migrated(server, DATABASE)
        with psycopg.connect(server.conninfo(DATABASE), autocommit=True) as connection:
            config = demo_config(telegram.base_url, tracker.base_url)
            connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(config),))
            with _notifier(server) as notifier:
                _schedule(server)
                say("Playing the fleet: ", end="")
                for courier in FLEET:
                    play(connection, courier)
                    print(f"{courier.name} ", end="", flush=True)
                print()
                _wait_for_messages(connection, notifier)
                play_afterwards(connection)
                _wait_for_follow_ups(connection, notifier)
                show_fleet()
                show_messages(telegram, tracker)
                show_afterwards(telegram, tracker)
                show_timeouts(connection)
                with psycopg.connect(server.conninfo("postgres"), autocommit=True) as cron:
                    show_passes(connection, cron, server.version)
                _show_board(notifier, keep=keep)
    print("\nEverything is stopped; no process and no file is left.")
    return 0


@dataclass(frozen=True)
class Notifier:
    """The notifier's process and its log."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def log_text(self) -> str:
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace").strip()

    def failed(self) -> DemoFailed:
        return DemoFailed(f"the notifier exited with {self.process.returncode}:\n{self.log_text()}")


@contextmanager
def _notifier(server: Postgres) -> Iterator[Notifier]:
    """The notifier as ops run it; SIGTERM stops it at the end, as systemd does."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "notifier", "run", "--listen", "127.0.0.1:0"],
            cwd=ROOT,
            env=server.environment(DATABASE) | SECRETS,
            stderr=log,
            start_new_session=True,  # Ctrl-C on a terminal is for the demo alone
        )
        notifier = Notifier(process, log)
        try:
            yield notifier
            process.terminate()
            if process.wait(EXIT_SECONDS) != 0:
                raise notifier.failed()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _schedule(server: Postgres) -> None:
    """Let pg_cron run the passes, as `make schedule WAIT=0` does."""
    script = "sql/cron/schedule.sql"
    finished = subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "wait_seconds=0", "-f", script],
        cwd=ROOT,
        env=server.environment(DATABASE),
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise DemoFailed(f"{script} failed:\n{finished.stderr}")


def _wait_for_messages(connection: psycopg.Connection[Any], notifier: Notifier) -> None:
    """Wait until every expected notification has been sent, and one has escalated."""

    def sent() -> Iterator[str]:
        """Those that are, by their names."""
        rows = connection.execute(
            "select idempotency_token from scooters_ops.notifications where completed"
            " union all"
            " select idempotency_token || ' ' || step from scooters_ops.notification_steps"
            " where sended and step <> 'alert'"
        ).fetchall()
        return (name for (name,) in rows)

    expected = EXPECTED_TOKENS | {f"{SKIPPED} escalation_1"}
    _wait("Messages sent", expected, sent, connection, notifier)


def _wait_for_follow_ups(connection: psycopg.Connection[Any], notifier: Notifier) -> None:
    """Wait until messages and tickets show what has become of them."""

    def shown() -> Iterator[str]:
        rows = connection.execute(
            "select idempotency_token || ' ' || step from scooters_ops.notification_steps"
            " where step in ('resolved', 'acknowledged')"
            " group by idempotency_token, step having bool_and(sended)"
        ).fetchall()
        return (name for (name,) in rows)

    expected = {f"{LEFT} resolved", f"{SKIPPED} acknowledged"}
    _wait("Changes shown", expected, shown, connection, notifier)


def _wait(
    what: str,
    expected: Collection[str],
    found: Callable[[], Iterable[str]],
    connection: psycopg.Connection[Any],
    notifier: Notifier,
) -> None:
    """Wait until everything that is expected is found."""
    started = time.monotonic()
    status = StatusLine(sys.stdout)
    missing = set(expected)
    while missing:
        waited = time.monotonic() - started
        if notifier.process.poll() is not None:
            raise notifier.failed()
        if waited > PATIENCE_SECONDS:
            raise DemoFailed(
                f"{what.lower()}: not after {waited:.0f} s: {', '.join(sorted(missing))}\n"
                f"{notifier.log_text()}"
            )
        missing -= set(found())
        passes = connection.execute("select * from scooters_ops.detection_passes").fetchall()
        text = f"{what}: {len(expected) - len(missing)} of {len(expected)}; passes: {len(passes)}"
        if not passes:
            text += ", waiting for pg_cron, which may start a job only at the full minute"
        status.show(f"▸ {text}", terminal_only=f" ({waited:.0f} s)")
        time.sleep(0.1)
    if status.is_terminal:
        print()


def _show_board(notifier: Notifier, *, keep: bool) -> None:
    listening = re.search(r" listening address=(\S+)", notifier.log_text())
    if listening is None:
        raise DemoFailed(f"the notifier does not listen:\n{notifier.log_text()}")
    title("The board")
    print(f"  http://{listening[1]}/board")
    if not keep:
        print("  make demo KEEP=1 keeps it running for you to look at.")
        return
    print("  The notifier serves it until Ctrl-C.", flush=True)
    with suppress(KeyboardInterrupt):
        notifier.process.wait()
        raise notifier.failed()


if __name__ == "__main__":
    raise SystemExit(main())
