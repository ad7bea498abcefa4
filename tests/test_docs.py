"""Every command and every query of docs/ runs, in the order of its page."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from notifier.config import ROOT
from tests.conftest import CONFIG, TestDatabase
from tests.test_readme import blocks, run

PAGES = sorted((ROOT / "docs").glob("*.md"))
PSQL = ["psql", "-X", "-q", "--set=ON_ERROR_STOP=1"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_every_query_runs(
    database: TestDatabase, tmp_path: Path, page: Path
) -> None:
    config_file = tmp_path / "config.json"
    config_file.write_text(json.dumps(CONFIG), "utf-8")
    environment = database.environment | {
        "DATABASE_URL": database.conninfo,
        "CONFIG": str(config_file),
    }
    run("psql -X -q -f sandbox/example.sql", environment)
    try:
        for block in blocks(page.read_text("utf-8")):
            if block.language == "sh":
                for command in block.text.split("\n"):
                    run(command, environment)
            elif block.language == "sql":
                finished = subprocess.run(
                    PSQL, input=block.text, env=environment, capture_output=True, text=True
                )
                assert finished.returncode == 0, f"{block.text}\n{finished.stderr}"
    finally:
        run("make unschedule", environment)
        with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as admin:
            admin.execute("delete from cron.job_run_details")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_scripts_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        assert (page.parent / path).exists(), target
        assert path or anchor in headings, target
