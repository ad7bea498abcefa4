"""The README is short, and every command in it works from top to bottom on an empty database."""

from __future__ import annotations

from pathlib import Path

import pytest

from notifier.resources import ROOT
from tests.conftest import TestDatabase
from tests.pages import README, blocks, reader

BY_CI = ["make lint", "make test", "make demo"]
NOT_HERE = [*BY_CI, "make test QUICK=1"]


def commands() -> list[str]:
    """The lines of the shell blocks, in order."""
    return [
        line
        for block in blocks(README.read_text("utf-8"))
        if block.language == "sh"
        for line in block.text.split("\n")
    ]


def test_it_has_at_most_150_lines() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_ci_runs_the_commands_that_a_test_cannot() -> None:
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    assert set(BY_CI) <= set(commands())
    assert [command for command in BY_CI if f" {command}\n" in ci] == BY_CI


@pytest.mark.slow
def test_every_command_works_on_an_empty_database(database: TestDatabase, tmp_path: Path) -> None:
    with reader(database, tmp_path) as following:
        database.connection.execute("drop schema scooters_ops cascade")
        for command in commands():
            if command not in NOT_HERE:
                following.run(command)
        assert following.has_delivered_the_example()
        assert [ticket.unique for ticket in following.tracker.tickets] == [
            "m-103_p2_j1_job_skipped/st/DUTY/alert"
        ]
        assert "m-1_p1_j1_job_skipped" in database.tokens()
