"""Every command of the README runs, and every query gives the answer that stands under it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psycopg

from notifier.config import ROOT
from sandbox.demo import CHAT, SECRETS, demo_config
from sandbox.standins import TelegramStandIn, TrackerStandIn
from tests.conftest import PATIENCE_SECONDS, TestDatabase

README = (ROOT / "README.md").read_text("utf-8")

# They install, test or demonstrate the whole project: .ci/run runs them, in this order.
BY_CI = ["make lint", "make test", "make demo"]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    return [
        Block(language, text.strip("\n"))
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    ]


def commands(page: str) -> list[str]:
    """The lines of the shell blocks, in order."""
    return [
        line for block in blocks(page) if block.language == "sh" for line in block.text.split("\n")
    ]


def test_ci_runs_what_a_test_cannot() -> None:
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    assert [line for line in commands(README) if line in BY_CI] == [
        "make demo",
        "make test",
        "make lint",
    ]
    assert [command for command in BY_CI if f" {command}\n" in ci] == BY_CI


def test_every_command_runs_and_every_query_gives_its_answer(
    database: TestDatabase, tmp_path: Path
) -> None:
    with (
        TelegramStandIn(SECRETS["TELEGRAM_BOT_TOKEN"], [CHAT]) as telegram,
        TrackerStandIn(
            SECRETS["TRACKER_TOKEN"], organization=("X-Org-ID", SECRETS["TRACKER_ORG_ID"])
        ) as tracker,
    ):
        # The far ends are stand-ins; whom the routes name is as in config.json.
        config = demo_config(telegram.base_url, tracker.base_url)
        config["routes"] = json.loads((ROOT / "config.json").read_text("utf-8"))["routes"]
        config_file = tmp_path / "config.json"
        config_file.write_text(json.dumps(config), "utf-8")
        environment = database.environment | SECRETS | {"CONFIG": str(config_file), "PGTZ": "UTC"}
        environment |= {"DATABASE_URL": database.conninfo}
        environment |= {"DESTDIR": str(tmp_path / "system")}  # where make service installs
        environment |= {"WAIT": "0"}  # test_stock_cluster.py waits for the first run
        database.connection.execute("drop schema scooters_ops cascade")  # a new user's is empty
        try:
            for block, following in pairwise([*blocks(README), Block("end", "")]):
                if block.language == "sh":
                    for command in block.text.split("\n"):
                        if command not in BY_CI:
                            run(command, environment)
                elif block.language == "sql":
                    assert following.language == "text", f"no answer stands under {block.text}"
                    assert _answer(block.text, environment) == following.text
            assert len(telegram.messages) == 3
            assert [ticket.unique for ticket in tracker.tickets] == [
                "m-103_p2_j1_job_skipped/st/DUTY/alert"
            ]
        finally:
            run("make unschedule", environment)
            with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as admin:
                admin.execute("delete from cron.job_run_details")


def run(command: str, environment: dict[str, str]) -> None:
    """Runs a command of a shell block; the daemon is told to stop once it has started."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=ROOT,
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
        if command == "make run" and " started " in line:
            # To the daemon itself: make would die of it.
            daemon = re.search(r" notifier=[^:]+:(\d+):", line)
            assert daemon is not None
            os.kill(int(daemon[1]), signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 0, (
        f"{command} ended with {process.returncode}:\n{output}"
    )


def _answer(query: str, environment: dict[str, str]) -> str:
    """What psql prints for an analyst's query."""
    finished = subprocess.run(
        ["psql", "-X", "-q", "-c", query, environment["DATABASE_URL"]],
        env=environment | {"PGOPTIONS": "-c role=scooters_ops_analyst"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{query}\n{finished.stderr}"
    return "\n".join(line.rstrip() for line in finished.stdout.strip("\n").split("\n"))
