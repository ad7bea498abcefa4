"""Every command and every query of docs/ runs, in the order of its page."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier.config import ROOT
from notifier.migrate import migrate
from sandbox.postgres import Postgres
from tests.conftest import CONFIG, TestDatabase, config
from tests.http_rigs import TOKEN, face, http_user
from tests.test_readme import blocks, run

pytestmark = pytest.mark.slow

PAGES = sorted((ROOT / "docs").glob("*.md"))
OPS = ROOT / "docs" / "ops.md"
PSQL = ["psql", "-X", "-q", "--set=ON_ERROR_STOP=1"]


def run_page(page: Path, environment: dict[str, str], sql: dict[str, str], http_url: str) -> None:
    """Everything on a page, from top to bottom: its queries in the environment `sql`."""
    for block in blocks(page.read_text("utf-8")):
        if block.language == "sh":
            for line in block.text.split("\n"):
                run(line, environment)
        elif block.language == "bash":
            for line in block.text.split("\n"):
                run(line.replace("http://127.0.0.1:8080", http_url), environment)
        elif block.language == "sql":
            finished = subprocess.run(
                PSQL, input=block.text, env=sql, capture_output=True, text=True
            )
            assert finished.returncode == 0, f"{block.text}\n{finished.stderr}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != OPS], ids=lambda page: page.name
)
def test_every_command_and_every_query_runs(
    database: TestDatabase, tmp_path: Path, page: Path
) -> None:
    config_file = tmp_path / "config.json"
    config_file.write_text(json.dumps(CONFIG), "utf-8")
    environment = database.environment | {
        "DATABASE_URL": database.conninfo,
        "CONFIG": str(config_file),
        "SCOOTERS_OPS_HTTP_TOKEN": TOKEN,
        "WAIT": "0",
        "no_proxy": "*",
    }
    run("psql -X -q -f docs/example.sql", environment)
    sql = environment
    if page.name == "integration.md":
        sql = environment | {"PGOPTIONS": "-c role=scooters_ops_writer"}
    try:
        if "```bash" in page.read_text("utf-8"):
            with http_user(database) as user, face(user) as http:
                run_page(page, environment, sql, http.url)
        else:
            run_page(page, environment, sql, "")
    finally:
        run("make unschedule", environment)
        with psycopg.connect(database.cluster.conninfo("postgres"), autocommit=True) as admin:
            admin.execute("delete from cron.job_run_details")


def test_every_command_of_ops_runs_and_after_the_last_one_nothing_of_us_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Postgres() as server:
        config_file = tmp_path / "config.json"
        patient = config(  # make status must not call for a person because the machine is busy
            detection__stalled_after_seconds=86400,
            notifier__poll_seconds=3600,
            notifier__lease_seconds=3600,
            notifier__stuck_after_seconds=86400,
        )
        config_file.write_text(json.dumps(patient), "utf-8")
        environment = server.environment("scooters") | {
            "CONFIG": str(config_file),
            "HOME": str(tmp_path),
            "WAIT": "0",
        }
        with psycopg.connect(server.conninfo("postgres"), autocommit=True) as admin:
            before = _roles_databases_and_jobs(admin)
            admin.execute("create database scooters")
            with monkeypatch.context() as patch:
                patch.setenv("DATABASE_URL", server.conninfo("scooters"))
                migrate()
                run("make config", environment)
                run("psql -X -q -f docs/example.sql", environment)
                run("make schedule", environment)
            run_page(OPS, environment, environment, "")
            admin.execute("drop database scooters with (force)")
            assert _roles_databases_and_jobs(admin) == before


def _roles_databases_and_jobs(admin: psycopg.Connection[Any]) -> list[Any]:
    admin.execute("create extension if not exists pg_cron")
    return [
        admin.execute(f"select {column} from {table} order by 1".encode()).fetchall()
        for column, table in (
            ("rolname", "pg_roles"),
            ("datname", "pg_database"),
            ("jobname", "cron.job"),
        )
    ]


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
