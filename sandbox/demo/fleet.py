"""The main job on real parts: `make demo`.

A private PostgreSQL with pg_cron, a fleet of seven couriers that calls create_mission, record_event
and skip_job, the notifier as a process of its own, and stand-ins of Telegram and Tracker that speak
the real protocols. Nothing of it outlives the demo, which goes on until Ctrl-C with --keep.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import psycopg

from notifier import config as configs
from notifier.config import ROOT
from notifier.migrate import migrate
from sandbox.postgres import BootFailed, NoPostgres, Postgres
from sandbox.standins import Chat, TelegramStandIn, TrackerStandIn

DATABASE = "scooters"
CHAT = Chat(-1001, title="Duty, Moscow")
QUEUE = "DUTY"
SECRETS = {
    "TELEGRAM_BOT_TOKEN": "7000000000:demo-token",
    "TRACKER_TOKEN": "demo-oauth-token",
    "TRACKER_ORG_ID": "1234567",
    "SCOOTERS_OPS_HTTP_TOKEN": "demo-http-token",
}
SCHEDULE = "5 seconds"
PATIENCE_SECONDS = 100.0
EXPECTED_TOKENS = (
    "boris_p2__timeout_in_point",
    "vera_p2__timeout_between_points",
    "gleb_p2_battery_job_skipped",
    "dina_p1__timeout_in_point",
    "egor_p1__timeout_in_point",
)


class DemoFailed(Exception):
    """What the demo promises did not come about."""


@dataclass(frozen=True)
class Courier:
    """A mission of three points, 10 minutes of travel to each, one battery of 5 minutes at each.

    events  (type, point or None, seconds ago), in the order in which they are reported
    """

    mission_id: str
    name: str
    story: str
    events: Sequence[tuple[str, str | None, float]]
    skips: str | None = None


def fleet() -> tuple[Courier, ...]:
    """Limits: 15 minutes on the way, 7.5 minutes at a point."""
    minute = 60.0
    return (
        Courier(
            "anna",
            "Anna",
            "on time, at her second point",
            (
                ("mission_started", None, 25 * minute),
                ("point_arrived", "p1", 16 * minute),
                ("point_completed", "p1", 11 * minute),
                ("point_arrived", "p2", 2 * minute),
            ),
        ),
        Courier(
            "fedor",
            "Fedor",
            "on time, all done",
            (
                ("mission_started", None, 50 * minute),
                ("point_arrived", "p1", 40 * minute),
                ("point_completed", "p1", 35 * minute),
                ("point_arrived", "p2", 25 * minute),
                ("point_completed", "p2", 21 * minute),
                ("point_arrived", "p3", 11 * minute),
                ("point_completed", "p3", 6 * minute),
                ("mission_completed", None, 6 * minute),
            ),
        ),
        Courier(
            "boris",
            "Boris",
            "too long at a point",
            (
                ("mission_started", None, 40 * minute),
                ("point_arrived", "p1", 31 * minute),
                ("point_completed", "p1", 27 * minute),
                ("point_arrived", "p2", 18 * minute),
            ),
        ),
        Courier(
            "vera",
            "Vera",
            "too long on the way",
            (
                ("mission_started", None, 45 * minute),
                ("point_arrived", "p1", 37 * minute),
                ("point_completed", "p1", 33 * minute),
            ),
        ),
        Courier(
            "gleb",
            "Gleb",
            "skips a job",
            (
                ("mission_started", None, 20 * minute),
                ("point_arrived", "p1", 12 * minute),
                ("point_completed", "p1", 8 * minute),
            ),
            skips="p2",
        ),
        Courier(
            "dina",
            "Dina",
            "events come late, twice and in the wrong order",
            (
                ("mission_completed", None, 1 * minute),
                ("point_completed", "p1", 3 * minute),
                ("point_arrived", "p1", 23 * minute),
                ("point_arrived", "p1", 5 * minute),
                ("mission_started", None, 30 * minute),
            ),
        ),
        Courier(
            "egor",
            "Egor",
            "in time now, over his limit in 8 seconds",
            (
                ("mission_started", None, 16 * minute),
                ("point_arrived", "p1", 7.5 * minute - 8),
            ),
        ),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep serving the board until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _demo(keep=options.keep)
    except KeyboardInterrupt:
        print("\ndemo: interrupted; nothing is left behind", file=sys.stderr)
        return 130
    except (NoPostgres, BootFailed, DemoFailed, psycopg.Error, configs.ConfigError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1


def _demo(*, keep: bool) -> int:
    _say("Starting a private PostgreSQL with pg_cron")
    with (
        Postgres() as server,
        TelegramStandIn(SECRETS["TELEGRAM_BOT_TOKEN"], [CHAT]) as telegram,
        TrackerStandIn(
            SECRETS["TRACKER_TOKEN"],
            organization=("X-Org-ID", SECRETS["TRACKER_ORG_ID"]),
            queues=[QUEUE],
        ) as tracker,
    ):
        with psycopg.connect(server.conninfo("postgres"), autocommit=True) as admin:
            admin.execute(f"create database {DATABASE}")
        os.environ["DATABASE_URL"] = server.conninfo(DATABASE)
        with psycopg.connect(server.conninfo(DATABASE), autocommit=True) as connection:
            _say("Migrating, applying config, scheduling")
            migrate()
            config = demo_config(telegram.base_url, tracker.base_url)
            connection.execute("select scooters_ops.apply_config(%s)", (json.dumps(config),))
            _psql(server, "sql/cron/schedule.sql")
            with _notifier(server) as (notifier, log):
                _say("Playing the fleet: ", end="")
                for courier in fleet():
                    play(connection, courier)
                    print(f"{courier.name} ", end="", flush=True)
                print()
                _await_messages(connection, notifier, log)
                with psycopg.connect(server.conninfo("postgres"), autocommit=True) as cron:
                    _show(connection, cron, server, telegram, tracker)
                _show_board(notifier, log, keep=keep)
    print("\nThe private PostgreSQL is gone again; nothing is left behind.")
    return 0


def demo_config(telegram_url: str, tracker_url: str) -> dict[str, Any]:
    """config.json as it stands in the repository, but for the far ends and the schedule."""
    config: dict[str, Any] = copy.deepcopy(configs.read_json(ROOT / "config.json"))
    config["detection"]["schedule"] = SCHEDULE
    config["channels"]["telegram"]["base_url"] = telegram_url
    config["channels"]["st"]["base_url"] = tracker_url
    config["routes"] = [
        {
            "match": {"type": ["job_skipped", "timeout_in_point"], "city": "Moscow"},
            "recipients": [
                {"type": "telegram", "chat_id": CHAT.chat_id},
                {"type": "st", "queue": QUEUE},
            ],
        },
        {"match": {}, "recipients": [{"type": "telegram", "chat_id": CHAT.chat_id}]},
    ]
    return config


def play(connection: psycopg.Connection[Any], courier: Courier) -> None:
    """Creates the courier's mission and reports its events as the mission service would."""
    now = datetime.now(UTC)
    mission = {
        "mission_id": courier.mission_id,
        "performer_id": f"courier-{courier.mission_id}",
        "attributes": {"performer_name": courier.name, "city": "Moscow"},
        "points": [
            {
                "point_id": point_id,
                "eta_seconds": 600,
                "jobs": [{"job_id": "battery", "type": "battery_exchange"}],
            }
            for point_id in ("p1", "p2", "p3")
        ],
    }
    connection.execute("select scooters_ops.create_mission(%s)", (json.dumps(mission),))
    for type_, point_id, seconds_ago in courier.events:
        connection.execute(
            "select scooters_ops.record_event(%s, %s, %s, %s)",
            (courier.mission_id, type_, point_id, now - timedelta(seconds=seconds_ago)),
        )
    if courier.skips is not None:
        connection.execute(
            "select scooters_ops.skip_job(%s, %s, 'battery')", (courier.mission_id, courier.skips)
        )


@contextmanager
def _notifier(server: Postgres) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """The notifier as ops run it; at the end it is asked to stop, as systemd does."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "notifier", "run", "--listen", "127.0.0.1:0"],
            cwd=ROOT,
            env=server.environment(DATABASE) | SECRETS,
            stderr=log,
            start_new_session=True,  # a terminal's Ctrl-C is for the demo
        )
        try:
            yield process, log
            process.terminate()
            if process.wait(30) != 0:
                raise DemoFailed(f"the notifier ended with {process.returncode}:\n{_text(log)}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _await_messages(
    connection: psycopg.Connection[Any], notifier: subprocess.Popen[bytes], log: IO[bytes]
) -> None:
    """Until everything that the stories lead to has been noticed and sent."""
    started = time.monotonic()
    progress = Progress()
    done: set[str] = set()
    while not done >= set(EXPECTED_TOKENS):
        waited = time.monotonic() - started
        if notifier.poll() is not None:
            raise DemoFailed(f"the notifier ended with {notifier.returncode}:\n{_text(log)}")
        if waited > PATIENCE_SECONDS:
            missing = ", ".join(sorted(set(EXPECTED_TOKENS) - done))
            raise DemoFailed(f"not sent after {waited:.0f} s: {missing}\n{_text(log)}")
        rows = connection.execute(
            "select idempotency_token from scooters_ops.notifications where completed"
        ).fetchall()
        done = {token for (token,) in rows}
        passes = connection.execute("select * from scooters_ops.detection_passes").fetchall()
        progress.say(
            f"{len(passes)} passes, {len(done)} of {len(EXPECTED_TOKENS)} notifications sent"
            if passes
            else "Waiting for pg_cron, which starts jobs at the full minute",
            waited,
        )
        time.sleep(0.25)
    print()


def _show(
    connection: psycopg.Connection[Any],
    cron: psycopg.Connection[Any],
    server: Postgres,
    telegram: TelegramStandIn,
    tracker: TrackerStandIn,
) -> None:
    _title("The fleet")
    for courier in fleet():
        print(f"  {courier.name:<6} {courier.story}")

    _title(f"Telegram, chat “{CHAT.title}”: {len(telegram.messages)} messages")
    for message in telegram.messages:
        print(textwrap.indent(message.text, "  ┃ "), end="\n\n")

    _title(f"Tracker, queue {QUEUE}: {len(tracker.tickets)} tickets")
    for ticket in tracker.tickets:
        print(f"  {ticket.key}  {ticket.summary}")
    print(f"\n  {tracker.tickets[0].key} in full:")
    print(textwrap.indent(tracker.tickets[0].description, "  ┃ "))

    _title("select * from scooters_ops.mission_timeouts")
    _table(
        ("mission", "point", "type", "elapsed", "limit", "open"),
        connection.execute(
            "select mission_id, point_id, type, date_trunc('second', elapsed), time_limit, is_open"
            " from scooters_ops.mission_timeouts order by mission_id, started_at"
        ).fetchall(),
    )

    _title(f"cron.job_run_details: PostgreSQL {server.version} ran the passes by pg_cron")
    _table(
        ("job", "command", "runs", "failed", "last status"),
        cron.execute(
            "select job.jobname, job.command, count(*), count(*) filter (where status = 'failed'),"
            " (array_agg(status order by runid desc))[1]"
            " from cron.job_run_details inner join cron.job using (jobid)"
            " group by job.jobname, job.command order by job.jobname"
        ).fetchall(),
    )
    _table(
        ("pass at", "took ms", "missions", "inserted"),
        connection.execute(
            "select to_char(started_at, 'HH24:MI:SS.MS'),"
            " round(extract(epoch from elapsed) * 1000, 1), missions, inserted"
            " from scooters_ops.detection_passes order by pass_id"
        ).fetchall(),
    )


def _show_board(notifier: subprocess.Popen[bytes], log: IO[bytes], *, keep: bool) -> None:
    listening = re.search(r" listening address=(\S+)", _text(log))
    if listening is None:
        raise DemoFailed(f"the notifier does not listen:\n{_text(log)}")
    _title("The board")
    print(f"  http://{listening[1]}/board")
    if not keep:
        print("  make demo KEEP=1 keeps it for you to look at.")
        return
    print("  It is served until Ctrl-C.", flush=True)
    with suppress(KeyboardInterrupt):
        raise DemoFailed(f"the notifier ended with {notifier.wait()}:\n{_text(log)}")


def _psql(server: Postgres, script: str) -> None:
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


def _say(text: str, end: str = "\n") -> None:
    print(f"▸ {text}", end=end, flush=True)


class Progress:
    """On a terminal one line, written over and over; elsewhere a line for each change."""

    def __init__(self) -> None:
        self._last = ""

    def say(self, text: str, waited: float) -> None:
        if sys.stdout.isatty():
            print(f"\r\x1b[K▸ {text} ({waited:.0f} s)", end="", flush=True)
        elif text != self._last:
            _say(text)
        self._last = text


def _title(text: str) -> None:
    print(f"\n\n{text}\n{'─' * len(text)}")


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [list(header), *([str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"  {line}".rstrip())
    print()


def _text(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode("utf-8", "replace").strip()


if __name__ == "__main__":
    raise SystemExit(main())
