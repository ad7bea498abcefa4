"""Running what the README and the pages of docs/ show: their commands, queries and requests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from notifier.resources import ROOT
from sandbox.demo import CHAT, SECRETS, demo_config
from sandbox.standins import TelegramStandIn, TrackerStandIn
from tests.conftest import PATIENCE_SECONDS, TestDatabase

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(language, text.strip("\n"))
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    ]


def section(page: Path, heading: str) -> str:
    """What stands under a heading, up to the next heading of the same or a higher level."""
    level = heading.index(" ")
    _, _, rest = page.read_text("utf-8").partition(f"\n{heading}\n")
    assert rest, f"{page.name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


@dataclass
class Reader:
    """Follows a page in a database of its own, with stand-ins for Telegram and Tracker."""

    environment: dict[str, str]
    telegram: TelegramStandIn
    tracker: TrackerStandIn
    has_scheduled: bool = False

    def run(self, command: str) -> None:
        """Runs a command of a page. `make run` is told to stop once nothing is left to send."""
        self.has_scheduled |= command == "make schedule"
        run(command, self.environment, stop_when=self.has_delivered_the_example)

    def has_delivered_the_example(self) -> bool:
        return len(self.telegram.messages) == 3 and len(self.tracker.tickets) == 1


@contextmanager
def reader(database: TestDatabase, tmp_path: Path) -> Iterator[Reader]:
    """A reader whose config.json has our routes, and channels that lead to the stand-ins."""
    with (
        TelegramStandIn(SECRETS["TELEGRAM_BOT_TOKEN"], [CHAT]) as telegram,
        TrackerStandIn(
            SECRETS["TRACKER_TOKEN"], organization=("X-Org-ID", SECRETS["TRACKER_ORG_ID"])
        ) as tracker,
    ):
        config = demo_config(telegram.base_url, tracker.base_url)
        config["routes"] = json.loads((ROOT / "config.json").read_text("utf-8"))["routes"]
        config_file = tmp_path / "config.json"
        config_file.write_text(json.dumps(config), "utf-8")
        database.value("select scooters_ops.apply_config(%s)", json.dumps(config))
        environment = {
            **database.environment,
            **SECRETS,
            "DATABASE_URL": database.conninfo,
            "CONFIG": str(config_file),
            "PGTZ": "UTC",
            "DESTDIR": str(tmp_path / "system"),  # make service installs here
            "WAIT": "0",  # test_stock_cluster.py waits for the first run
            "no_proxy": "*",
        }
        following = Reader(environment, telegram, tracker)
        try:
            yield following
        finally:
            if following.has_scheduled:
                run("make unschedule", environment)
                with psycopg.connect(
                    database.cluster.conninfo("postgres"), autocommit=True
                ) as admin:
                    admin.execute("delete from cron.job_run_details")


def run(
    command: str,
    environment: dict[str, str],
    stop_when: Callable[[], bool] = lambda: True,
    cwd: Path = ROOT,
) -> None:
    """Runs a line of a shell block, which must exit with 0. The daemon that `make run` starts gets
    SIGTERM once it has started and `stop_when` holds after a line of its log."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        # The signal goes to the daemon itself: make would die of it.
        daemon = re.search(r" started .*?notifier=[^:]+:(\d+):", output)
        if command == "make run" and daemon is not None and stop_when():
            os.kill(int(daemon[1]), signal.SIGTERM)
            command = "make run, stopping"
    assert process.wait(PATIENCE_SECONDS) == 0, (
        f"{command} ended with {process.returncode}:\n{output}"
    )


def run_sql(query: str, environment: dict[str, str], role: str | None = None) -> str:
    """What psql prints for the statements of a block, with the rights of a role."""
    options = {} if role is None else {"PGOPTIONS": f"-c role={role}"}
    finished = subprocess.run(
        ["psql", "-X", "-q", "--set=ON_ERROR_STOP=1"],
        input=query,
        env=environment | options,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{query}\n{finished.stderr}"
    return "\n".join(line.rstrip() for line in finished.stdout.strip("\n").split("\n"))
