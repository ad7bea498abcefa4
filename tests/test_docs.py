"""Every command, query and request of docs/ works, in the order of its page."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from notifier.migrate import migrate
from notifier.report.questions import QUESTIONS, Question
from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, config
from tests.http_rigs import TOKEN, http_process, http_user
from tests.pages import DOCS, PAGES, Block, Reader, blocks, reader, run, run_sql, section

pytestmark = pytest.mark.slow

EXAMPLE = "psql -X -q -f docs/example.sql"


def page_blocks(name: str) -> list[Block]:
    return blocks((DOCS / name).read_text("utf-8"))


@pytest.fixture
def following(database: TestDatabase, tmp_path: Path) -> Any:
    with reader(database, tmp_path) as following:
        yield following


@pytest.mark.parametrize("name", ["config.md", "dba.md", "plans.md", "tables.md"])
def test_every_command_and_query_works_beside_the_example(following: Reader, name: str) -> None:
    following.run(EXAMPLE)
    for block in page_blocks(name):
        if block.language == "sh":
            for command in block.text.split("\n"):
                following.run(command)
        elif block.language == "sql":
            run_sql(block.text, following.environment)


def test_every_query_for_analysts_gives_the_answer_under_it(
    following: Reader, tmp_path: Path
) -> None:
    following.environment["HOME"] = str(tmp_path)
    for block, next_block in pairwise([*page_blocks("analyst.md"), Block("end", "")]):
        if block.language == "sh":
            for command in block.text.split("\n"):
                following.run(command)
        elif block.language == "sql":
            assert next_block.language == "text", f"no answer follows {block.text}"
            answer = run_sql(block.text, following.environment, "scooters_ops_analyst")
            assert answer == next_block.text
    assert (tmp_path / "report.html").read_text("utf-8").rstrip().endswith("</html>")
    assert (tmp_path / "november-23.html").exists()
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["questions"]
    assert (tmp_path / "late_by_city.csv").read_text("utf-8").startswith("city,intervals,late,")
    assert len((tmp_path / "intervals.csv").read_text("utf-8").splitlines()) == 15


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=lambda question: question.name)
def test_the_page_for_analysts_asks_as_the_report_does(question: Question) -> None:
    title, *lines = question.query().splitlines()
    query = re.sub(r"\A(--.*\n)+", "", "\n".join(lines)).strip()
    for name, day in (("since", 23), ("until", 24)):
        query = query.replace(f":'{name}'", f"'2026-11-{day} 00:00+00'")
    page = section(DOCS / "analyst.md", f"## {title.removeprefix('-- ')}")
    assert Block("sql", query) in blocks(page)


def test_every_command_for_ops_works_beside_the_example(
    database: TestDatabase, following: Reader
) -> None:
    following.run(EXAMPLE)
    with http_user(database) as user, http_process(user) as http:
        for block in page_blocks("ops.md"):
            if block.language in ("sh", "bash"):
                for command in block.text.split("\n"):
                    following.run(command.replace("http://127.0.0.1:8080", http.url))
    assert following.has_delivered_the_example()


def test_every_statement_and_request_for_the_mission_service_works_on_an_empty_database(
    database: TestDatabase, following: Reader
) -> None:
    following.environment["SCOOTERS_OPS_HTTP_TOKEN"] = TOKEN
    try:
        with http_user(database) as user, http_process(user) as http:
            for block in page_blocks("integration.md"):
                if block.language == "postgresql":
                    run_sql(block.text, following.environment)
                elif block.language == "sql":
                    run_sql(block.text, following.environment | {"PGUSER": "mission_service"})
                elif block.language == "bash":
                    for command in block.text.split("\n"):
                        following.run(command.replace("http://127.0.0.1:8080", http.url))
    finally:
        database.connection.execute("drop role if exists mission_service")
    assert database.tokens() == ["m-2001_p2_j1_job_skipped", "m-2002_p1_j1_job_skipped"]


def test_every_command_for_backups_works_and_the_last_one_leaves_nothing_of_ours(
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
                for command in ("make config", EXAMPLE, "make schedule"):
                    run(command, environment)
            for block in page_blocks("backup.md"):
                assert block.language == "sh"
                for command in block.text.split("\n"):
                    run(command, environment)
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


# --- The pages as a whole -----------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may say after the #."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    folders = "config|deploy|docs|migrations|notifier|sandbox|sql|templates|tests"
    """Files that a recipe creates do not exist yet."""
    not_prose = r"^```.*?^```$|^New files? .*?$"
    text = re.sub(not_prose, "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for path in re.findall(rf"`((?:{folders})/[\w./*-]*)`", text):
        assert [*ROOT.glob(path.rstrip("/"))], path


def test_the_readme_links_every_page() -> None:
    readme = PAGES[0].read_text("utf-8")
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in readme] == []
