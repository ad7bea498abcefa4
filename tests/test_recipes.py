"""The recipes of docs/development.md, followed to the letter in a copy of the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from notifier.resources import ROOT
from tests.conftest import TestDatabase
from tests.pages import DOCS, run, section

pytestmark = pytest.mark.slow

PAGE = DOCS / "development.md"
STEP = re.compile(
    r"^(?:(New files?|In) `(?P<path>[^`]+)`[^\n]*:\n\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
NOT_COPIED = (".venv", ".git", "build", ".*_cache", ".hypothesis", "__pycache__")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the tree that shares the virtual environment, and mypy's cache if there is one."""
    tree = tmp_path / "copy"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (tree / ".venv").symlink_to(ROOT / ".venv")
    for file in (*tree.glob("requirements*"), tree / "pyproject.toml"):
        os.utime(file, (0, 0))  # make must never rebuild the environment that runs this test
    if (ROOT / ".mypy_cache").exists():
        (tree / ".mypy_cache").symlink_to(ROOT / ".mypy_cache")
    return tree


def follow(recipe: str, tree: Path, environment: dict[str, str]) -> None:
    """Does what a recipe says, from top to bottom."""
    numbers = [path.name[:4] for path in (tree / "migrations").glob("*.sql")]
    text = section(PAGE, recipe).replace("NNNN", f"{int(max(numbers)) + 1:04}")
    path = ""
    for step in STEP.finditer(text):
        path = step["path"] or path
        match step["language"]:
            case "sh":
                for command in step["text"].splitlines():
                    run(command, environment, cwd=tree)
            case "diff":
                edit(tree / path, step["text"])
            case _:
                for each in alternatives(path):
                    new = tree / each
                    assert not new.exists(), each
                    new.parent.mkdir(parents=True, exist_ok=True)
                    new.write_text(step["text"], "utf-8")


def alternatives(path: str) -> list[str]:
    """a/{b,c} as the shell expands it."""
    before, brace, rest = path.partition("{")
    choices, _, after = rest.partition("}")
    return [before + choice + after for choice in choices.split(",")] if brace else [path]


def edit(file: Path, diff: str) -> None:
    """Applies a diff without line numbers: what it shows must be in the file exactly once."""
    lines = [(line[:1], line[1:]) for line in diff.splitlines()]
    old = "".join(f"{rest}\n" for sign, rest in lines if sign != "+")
    new = "".join(f"{rest}\n" for sign, rest in lines if sign != "-")
    text = file.read_text("utf-8")
    assert text.count(old) == 1, f"{file.name} does not hold exactly once:\n{old}"
    file.write_text(text.replace(old, new), "utf-8")


def test_a_new_channel(copy: Path) -> None:
    follow("## Recipe: a new channel", copy, dict(os.environ))


def test_a_new_notification_type(copy: Path, database: TestDatabase) -> None:
    environment = database.environment | {"DATABASE_URL": database.conninfo}
    follow("## Recipe: a new notification type", copy, environment)

    run(".venv/bin/python -m notifier migrate", environment, cwd=copy)
    database.create_mission(attributes={"city": "Moscow"})
    report = "select scooters_ops.report_blocked_point('m1', 'p2', 'locked gate')"
    assert database.value(report) is True
    assert database.value(report) is False
    token = "m1_p2__point_blocked"
    assert database.tokens() == [token]
    database.value("select scooters_ops.plan_deliveries(100)")
    assert json.loads(
        database.value("select recipients::text from scooters_ops.monitoring_notifications")
    )
    preview = f".venv/bin/python -m notifier preview point_blocked --token {token}"
    run(preview, environment, cwd=copy)
