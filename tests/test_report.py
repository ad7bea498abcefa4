"""notifier report: one page of charts and tables, or the rows of its questions."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
from playwright.sync_api import Page, sync_playwright
from psycopg.conninfo import make_conninfo

from notifier.database.statements import Database
from notifier.locales import LOCALES
from notifier.notification_types import NOTIFICATION_TYPES
from notifier.report import page as pages
from notifier.report.charts import MOST_BARS, MOST_DAYS, chart_of
from notifier.report.questions import QUESTIONS, Answer, for_psycopg
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, shared_database
from tests.delivery_rigs import run_in_process
from tests.report_rigs import HOSTILE, SINCE, UNTIL, fill
from tests.test_board_browser import CHROMIUM, serious_faults

pytestmark = pytest.mark.slow(seconds=15)

WINDOW = ("--since", "2026-11-01", "--until", "2026-11-15")
LOGIN = "report_analyst"
"""A user whose only role is scooters_ops_analyst."""


@pytest.fixture(scope="module")
def fortnight(cluster: Postgres) -> Iterator[TestDatabase]:
    """A database that all tests read and none changes."""
    with shared_database(cluster) as database:
        fill(database)
        database.connection.execute(f"create role {LOGIN} login in role scooters_ops_analyst")
        try:
            yield database
        finally:
            database.connection.execute(f"drop role {LOGIN}")


def report(
    database: TestDatabase, *arguments: str, window: tuple[str, ...] = WINDOW
) -> subprocess.CompletedProcess[str]:
    environment = {"DATABASE_URL": make_conninfo(database.conninfo, user=LOGIN)}
    return run_in_process(("report", *window, *arguments), environment)


def written(database: TestDatabase, *arguments: str) -> str:
    """What the command prints when all is well."""
    finished = report(database, *arguments)
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


class Elements(HTMLParser):
    """The elements of a page: their attributes, and the text of the tables' cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & {*self.open}:
            self.cells[-1] += data.strip()


@pytest.mark.parametrize("locale", LOCALES)
def test_the_page_is_whole_and_asks_nobody_for_anything(
    fortnight: TestDatabase, locale: str
) -> None:
    page = written(fortnight, "--locale", locale)
    parsed = Elements(page)
    assert parsed.open == []
    names = {tag for tag, _ in parsed.elements}
    assert not names & {"script", "link", "img", "iframe", "object", "foreignobject", "base"}
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert set(re.findall(r"url\(.{5}", page)) == {"url(#few-"}
    assert "@import" not in page
    assert "http" not in re.sub(r"http-equiv", "", page)

    identifiers = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(identifiers) == len({*identifiers})
    for _, attributes in parsed.elements:
        assert {*(attributes.get("aria-labelledby") or "").split()} <= {*identifiers}
    charts = [attributes for _, attributes in parsed.elements if attributes.get("class") == "chart"]
    assert len(charts) == len(QUESTIONS)
    assert {chart["role"] for chart in charts} == {"img"}
    headers = [attributes for tag, attributes in parsed.elements if tag == "th"]
    assert all(attributes["scope"] in ("col", "row") for attributes in headers)


def test_the_page_says_what_it_is_about(fortnight: TestDatabase) -> None:
    page = written(fortnight, "--question", "late_by_city")
    config_id = fortnight.value("select config_id from scooters_ops.config_in_force")
    assert "2026-11-01 00:00 UTC – 2026-11-15 00:00 UTC" in page
    assert re.search(rf"<dd>{config_id}, since 20\d\d-\d\d-\d\d \d\d:\d\d UTC, by <bdi>", page)
    assert "notifier report --since 2026-11-01T00:00:00+00:00 --until 2026-11-15" in page
    assert page.count("<section") == 1


def test_names_that_look_like_code_are_text(fortnight: TestDatabase) -> None:
    for output in (("--question", "worst_points"), ("--question", "late_by_city")):
        page = written(fortnight, *output)
        assert HOSTILE[0] not in page
        assert "\u202e" not in page
        assert "\x1b" not in page
    cities = Elements(written(fortnight, "--question", "least_helpful")).cells
    assert HOSTILE[2] in cities  # the whole of it, however long


def test_a_table_has_the_numbers_of_its_chart_and_of_what_is_left_out(
    fortnight: TestDatabase,
) -> None:
    rows = json.loads(written(fortnight, "--output", "json"))["questions"]["late_by_courier"]
    assert len(rows) == 43
    page = written(fortnight, "--question", "late_by_courier")
    for row in rows[:MOST_BARS]:
        result = f"{row['late_percent']:.1f}\u00a0% · n\u00a0=\u00a0{row['intervals']}"
        assert f"{row['performer_id']} · {row['name']}: {result}" in page
    cells = Elements(page).cells
    last = cells.index("Others: 23")
    others = rows[MOST_BARS:]
    intervals, late = (sum(row[key] for row in others) for key in ("intervals", "late"))
    assert cells[last + 2 : last + 5] == [
        f"{intervals:,}",
        f"{late:,}",
        f"{100 * late / intervals:.1f}\u00a0%",
    ]
    assert sum(int(cell.replace(",", "")) for cell in cells[8::6][: MOST_BARS + 1]) == sum(
        row["intervals"] for row in rows
    )


def test_what_few_rows_say_is_marked_by_a_word_and_a_pattern(fortnight: TestDatabase) -> None:
    few = written(fortnight, "--question", "worst_points")
    assert re.search(r"n\u00a0=\u00a0\d+ · few<", few)
    assert few.count('fill="url(#few-1)"') == MOST_BARS
    many = written(fortnight, "--question", "late_by_hour")
    assert ">few<" not in many
    assert many.count('class="value"') == 24


def test_a_window_without_rows_says_so(fortnight: TestDatabase) -> None:
    empty = report(fortnight, window=("--since", "2020-01-01", "--until", "2020-02-01"))
    assert empty.stdout.count("Nothing in this window.") == len(QUESTIONS)
    rows = report(
        fortnight,
        *("--output", "csv", "--question", "told"),
        window=("--since", "2020-01-01", "--until", "2020-02-01"),
    )
    assert rows.stdout.startswith("type,notifications,told,")
    assert rows.stdout.count("\n") == 1


def test_csv_is_what_the_query_says(fortnight: TestDatabase) -> None:
    for question in QUESTIONS.values():
        output = written(fortnight, "--output", "csv", "--question", question.name)
        header, *rows = csv.reader(io.StringIO(output))
        asked = fortnight.connection.execute(
            for_psycopg(question.query()).encode(), {"since": SINCE, "until": UNTIL}
        )
        assert header == [column.name for column in asked.description or ()]
        assert len(rows) == len(asked.fetchall()) > 0
        assert {question.value, question.counted, *question.labels} <= {*header}
    cities = csv.DictReader(
        io.StringIO(written(fortnight, "--output", "csv", "--question", "late_by_city"))
    )
    assert "=1+2" in {row["city"] for row in cities}


def test_every_column_and_value_has_a_text_in_every_locale(fortnight: TestDatabase) -> None:
    answers = json.loads(written(fortnight, "--output", "json"))["questions"]
    known = {
        locale: json.loads((pages.FOLDER / "texts" / f"{locale}.json").read_text("utf-8"))
        for locale in LOCALES
    }
    expected = {f"question_{name}" for name in QUESTIONS}
    columns = {column for rows in answers.values() for column in rows[0]}
    expected |= {f"column_{column.removesuffix('_seconds')}" for column in columns}
    expected |= {f"type_{type}" for type in NOTIFICATION_TYPES}
    constraint = "select pg_get_constraintdef(oid) from pg_constraint where conname = %s"
    for column in ("late_because", "resolution"):
        check = fortnight.value(constraint, f"monitoring_notifications_{column}_check")
        expected |= {f"{column}_{value}" for value in re.findall(r"'(\w+)'", check)}
    for texts in known.values():
        assert texts.keys() == known["en"].keys()
        assert expected <= texts.keys()


def test_a_file_is_written_whole_or_stays_as_it_was(
    fortnight: TestDatabase, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    assert written(fortnight, "--question", "told", "--file", str(file)) == ""
    first = file.read_text("utf-8")
    assert first.rstrip().endswith("</html>")
    assert [*tmp_path.iterdir()] == [file]

    for target in (tmp_path, tmp_path / "missing" / "report.html"):
        refused = report(fortnight, "--question", "told", "--file", str(target))
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"notifier: --file: {target} cannot be written: ")
    late = report(fortnight, "--file", str(file), window=("--since", "1d", "--until", "2d"))
    assert late.returncode == 2
    assert file.read_text("utf-8") == first
    assert [*tmp_path.iterdir()] == [file]


def test_csv_needs_one_question_and_a_question_must_be_known(fortnight: TestDatabase) -> None:
    assert "needs one --question" in report(fortnight, "--output", "csv").stderr
    unknown = report(fortnight, "--question", "why")
    assert unknown.returncode == 2
    assert "late_by_city" in unknown.stderr


def test_no_query_outlasts_the_limit_that_the_server_sets(fortnight: TestDatabase) -> None:
    fortnight.connection.execute(f"alter role {LOGIN} set statement_timeout = '1ms'")
    try:
        late = report(fortnight)
    finally:
        fortnight.connection.execute(f"alter role {LOGIN} reset statement_timeout")
    assert late.returncode == 2
    assert "SQLSTATE 57014" in late.stderr


async def snapshot(*queries: str) -> list[list[dict[str, Any]]]:
    database = await Database.connect(60)
    try:
        return [rows for _, rows in await database.snapshot(queries, {})]
    finally:
        await database.close()


def test_all_queries_see_the_database_as_of_one_time_and_none_can_write(
    fortnight: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fortnight.conninfo)
    seen = "select now() as at, pg_current_snapshot()::text as snapshot"
    first, second = asyncio.run(snapshot(seen, seen))
    assert first == second
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        asyncio.run(snapshot("create table scooters_ops.never ()"))


def test_days_beyond_two_months_are_added_up() -> None:
    first = date(2026, 1, 1)
    rows: list[dict[str, Any]] = [
        {
            "day": first + timedelta(days=n),
            "intervals": 10,
            "late": 1,
            "late_percent": 10,
            "is_few": True,
        }
        for n in range(100)
        if n != 90
    ]
    chart = chart_of(Answer(QUESTIONS["late_by_day"], [*rows[0]], rows))
    assert len(chart.bars) == MOST_DAYS - 1
    assert chart.others == 100 - MOST_DAYS
    assert chart.rest is not None
    assert chart.rest["intervals"] == 10 * (100 - MOST_DAYS)
    gap = chart.bars[52].place - chart.bars[51].place
    assert round(gap / chart.bars[0].breadth) == 2  # day 90 has a place, and no bar


def heard(page: Page) -> list[str]:
    """What the page asks for, and what it says in dialogs, from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    return asked


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium is installed")
def test_the_page_reads_on_a_phone_on_a_screen_and_on_paper(
    fortnight: TestDatabase, tmp_path: Path
) -> None:
    """Nothing moves sideways, no chart is cut, axe-core finds no serious problem."""
    # Every kind of chart, few rows and many, and the hostile names.
    names = ("late_by_day", "late_by_city", "worst_points", "reaction_by_route")
    chosen = [word for name in names for word in ("--question", name)]
    for locale in LOCALES:
        file = tmp_path / f"{locale}.html"
        written(fortnight, "--locale", locale, "--file", str(file), *chosen)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        shown: tuple[tuple[int, Literal["light", "dark"], str], ...] = (
            (390, "light", "ru"),
            (1280, "dark", "en"),
        )
        for width, scheme, locale in shown:
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            asked = heard(page)
            page.goto((tmp_path / f"{locale}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert serious_faults(page) == []
            assert len(asked) == 1
            assert page.locator("svg.chart").count() == len(names)
            if width == 1280:
                page.emulate_media(media="print")
                page.set_viewport_size({"width": 700, "height": 1000})
                assert page.evaluate("document.documentElement.scrollWidth") == 700
                ground = "getComputedStyle(document.querySelector('section')).backgroundColor"
                assert page.evaluate(ground) == "rgb(255, 255, 255)"
                tables = "[...document.querySelectorAll('.scroll')]"
                assert page.evaluate(f"{tables}.every(t => t.scrollWidth <= t.clientWidth)")
            page.close()
        browser.close()
