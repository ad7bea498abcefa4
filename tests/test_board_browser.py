"""The board in a real browser: Debian's Chromium, headless."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from notifier.notification_types import TIMEOUT_TYPES
from notifier.resources import ROOT
from sandbox.postgres import Postgres
from tests.board_rigs import LONG, REFRESH_SECONDS, Served, fleet, serving, travel
from tests.conftest import TestDatabase, shared_database

CHROMIUM = Path("/usr/bin/chromium")
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
SIZES = {360: 740, 390: 844, 1280: 900, 1600: 900}
"""The heights of screens by their width."""
REFRESH = REFRESH_SECONDS * 1000
"""In milliseconds, for Playwright."""
BECOMES_TRUE = 120_000
"""How long to wait for a refresh, in milliseconds; a slow machine needs some."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM.exists(),
        reason="the board is not looked at: no Chromium is installed (apt-get install chromium)",
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def board(database: TestDatabase) -> Iterator[Served]:
    """A board on the test's own database, without missions."""
    with serving(database) as served:
        yield served


@pytest.fixture(scope="module")
def busy(cluster: Postgres) -> Iterator[Served]:
    """A board with a fleet that all tests share and none changes."""
    with shared_database(cluster) as database:
        fleet(database)
        with serving(database) as served:
            yield served


@contextmanager
def opened(
    browser: Browser, served: Served, path: str = "/board", *, expected: str = "", **options: Any
) -> Iterator[Page]:
    """A page of the board. At the end the test fails if the browser has logged a warning or an
    error that does not match `expected`, or has requested another host."""
    complaints: list[str] = []

    def hear(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            complaints.append(said.text)

    def watch(request: Request) -> None:
        if not request.url.startswith(served.url):
            complaints.append(f"asks {request.url}")

    with browser.new_context(**options) as context:
        page = context.new_page()
        page.on("console", hear)
        page.on("request", watch)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(served.url + path)
        yield page
    assert [said for said in complaints if not (expected and re.search(expected, said))] == []


def screenshots() -> Path:
    """The folder for screenshots."""
    folder = ROOT / "build" / "board"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wait_for_refresh(page: Page) -> None:
    """Waits until the script has refreshed the page."""
    shown = page.locator(".as-of").inner_text()
    expect(page.locator(".as-of")).not_to_have_text(shown, timeout=BECOMES_TRUE)


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    """The serious accessibility problems that axe-core finds."""
    return [
        (fault["id"], [node["html"][:200] for node in fault["nodes"][:3]])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def couriers(page: Page) -> list[str]:
    return page.locator(".mission .who a").all_inner_texts()


def test_an_overdue_mission_shows_at_the_next_refresh_after_its_pass(
    browser: Browser, board: Served
) -> None:
    travel(board.database, "m1", ("start", 10), performer_name="Anna")
    board.database.value("select scooters_ops.detect_timeouts()")
    with opened(browser, board) as page:
        page.evaluate("window.isSame = true")
        expect(page.locator(".mission .over")).to_contain_text("left")
        expect(page.locator(".notification")).to_have_count(0)
        assert page.title() == "Couriers now"

        board.database.connection.execute(
            "update scooters_ops.missions_history set occurred_at = now() - interval '25 min'"
        )
        assert board.database.value("select scooters_ops.detect_timeouts()") == 1
        expect(page.locator(".mission.is-late .over")).to_contain_text(
            "10 min", timeout=BECOMES_TRUE
        )
        expect(page.locator(".notification")).to_contain_text("Too long on the way")
        expect(page.locator(".notification")).to_contain_text("no notifier has taken it yet")
        expect(page.locator(".mission rect.late")).to_have_attribute("fill", "url(#hatch)")
        assert page.title() == "(1) Couriers now"
        assert page.evaluate("window.isSame")


def test_filters_are_kept_in_the_url_and_survive_a_refresh(browser: Browser, busy: Served) -> None:
    with opened(browser, busy) as page:
        everybody = couriers(page)
        page.get_by_label("City").fill("kazan")
        page.get_by_role("button", name="Apply").click()
        assert "city=kazan" in page.url
        kazan = couriers(page)
        assert 0 < len(kazan) < len(everybody)
        page.get_by_label("Only over the limit").check()
        page.get_by_role("button", name="Apply").click()
        late = [name for name in kazan if name != "Boris Godunov"]
        assert couriers(page) == late

        wait_for_refresh(page)
        assert couriers(page) == late
        assert page.get_by_label("City").input_value() == "kazan"
        assert page.get_by_label("Only over the limit").is_checked()

        page.get_by_role("link", name="Clear").click()
        assert couriers(page) == everybody


@pytest.mark.parametrize("kind", [*TIMEOUT_TYPES, "job_skipped"])
def test_the_filter_by_type_shows_that_type_alone(
    browser: Browser, busy: Served, kind: str
) -> None:
    with opened(browser, busy, f"/board?type={kind}") as page:
        noticed = set(page.locator(".notification .what").all_inner_texts())
        assert len(noticed) == 1
        assert page.get_by_label("Show").input_value() == kind
        is_a_bar = kind in TIMEOUT_TYPES
        assert (page.locator(".mission").count() > 0) == is_a_bar


def test_a_refresh_keeps_scroll_focus_selection_and_what_is_being_typed(
    browser: Browser, busy: Served
) -> None:
    with opened(browser, busy, viewport={"width": 375, "height": 500}) as page:
        page.get_by_role("link", name="Filters").click()
        page.get_by_label("Courier").fill("half a na")
        page.get_by_role("link", name="Couriers").click()
        page.evaluate("window.scrollTo(0, 1500)")
        # In one step: a refresh between finding the link and focusing it would replace the link.
        href = page.evaluate(
            "(() => { const link = document.querySelectorAll('.mission .who a')[8];"
            " link.focus({ preventScroll: true }); return link.getAttribute('href'); })()"
        )
        wait_for_refresh(page)
        wait_for_refresh(page)
        assert page.evaluate("window.scrollY") == 1500
        assert page.evaluate("document.activeElement.getAttribute('href')") == href
        assert page.get_by_label("Courier").input_value() == "half a na"

        page.evaluate(
            "document.getSelection().selectAllChildren(document.getElementById('missions-heading'))"
        )
        with page.expect_response(re.compile("fragment=1")):
            pass
        assert page.evaluate("document.getSelection().toString()") == "On the road"


def test_a_paused_board_does_not_change(browser: Browser, busy: Served) -> None:
    with opened(browser, busy) as page:
        page.get_by_role("button", name="Pause").click()
        shown = page.locator(".as-of").inner_text()
        page.wait_for_timeout(1000 + 2 * REFRESH)  # a refresh would have come by now
        assert page.locator(".as-of").inner_text() == shown
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".as-of")).not_to_have_text(shown, timeout=BECOMES_TRUE)


def test_names_and_attributes_are_shown_as_text_and_never_as_html(
    browser: Browser, board: Served
) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    reversed_ = "\u202egnp.exe\u202c \u05d0\u05d1 {{ 7 * 7 }}"
    travel(board.database, "m/1 ?#%<b>", ("start", 40), performer_name=evil, city=reversed_)
    travel(board.database, "m2", ("start", 2), performer_name="W" * 200, city="w" * 200)
    board.database.value("select scooters_ops.detect_timeouts()")
    with opened(browser, board, viewport={"width": 375, "height": 812}) as page:
        expect(page.locator(".mission .who a").first).to_have_text(evil)
        expect(page.locator(".mission .who small bdi").first).to_have_text(reversed_)
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        assert page.locator("#live script, #live img").count() == 0
        wait_for_refresh(page)
        page.get_by_role("link", name="Notifications").click()
        page.locator(".notification .who a").click()
        expect(page.locator("h1")).to_have_text(evil)
        expect(page.locator(".ids")).to_contain_text("m/1 ?#%<b>")
        assert page.locator("#live script, #live img, #live b").count() == 0
        page.goto(board.url + "/board?city=%22%3E%3Cimg%20src%3Dx%3E")
        assert page.get_by_label("City").input_value() == '"><img src=x>'


def test_alarms_show_when_detection_has_stopped_or_delivery_is_stuck(
    browser: Browser, board: Served
) -> None:
    travel(board.database, "m1", ("start", 40))
    board.database.value("select scooters_ops.detect_timeouts()")
    with opened(browser, board) as page:
        expect(page.get_by_role("alert")).to_have_count(0)
        ago = "now() - interval '1 hour'"
        for statement in (
            f"update scooters_ops.detection_passes set started_at = {ago}",
            f"update scooters_ops.configs set applied_at = {ago}",
            f"update scooters_ops.monitoring_notifications set created_at = {ago}",
            "update scooters_ops.delivery_targets set failures = 2, hold_reason = '401 <Expired>'"
            " where channel = 'st'",
        ):
            board.database.connection.execute(statement)
        expect(page.get_by_role("alert")).to_contain_text(
            ["Detection has stopped", "st refuses all our requests. 401 <Expired>", "stuck"],
            timeout=BECOMES_TRUE,
        )
        page.screenshot(path=screenshots() / "alarms.png")
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert serious_faults(page) == []


def test_an_alarm_names_each_shard_that_gives_no_answer(browser: Browser, board: Served) -> None:
    travel(board.database, "m1", ("start", 40))
    board.database.value("select scooters_ops.detect_timeouts()")
    answer = board.database.value("select scooters_ops.board()")
    missing = ["fleet3 at 10.0.0.7:5432", "<b>fleet5</b>"]
    board.rows.answers = [{"answer": {**answer, "missing": missing}}]
    with opened(browser, board) as page:
        alerts = page.get_by_role("alert")
        expect(alerts).to_contain_text([f"Shard {name} does not answer." for name in missing])
        expect(page.locator(".mission")).to_have_count(1)
        assert serious_faults(page) == []
        page.goto(board.url + "/board?lang=ru")
        expect(alerts.first).to_contain_text("Шард fleet3 at 10.0.0.7:5432 не отвечает.")
        board.rows.answers = None
        expect(alerts).to_have_count(0, timeout=BECOMES_TRUE)


def test_without_the_database_the_last_snapshot_stays_and_the_board_recovers_by_itself(
    browser: Browser, board: Served
) -> None:
    travel(board.database, "m1", ("start", 40), performer_name="Anna")
    board.database.value("select scooters_ops.detect_timeouts()")
    with opened(browser, board, expected="503") as page:
        expect(page.get_by_role("alert")).to_have_count(0)
        board.rows.is_away = True
        expect(page.get_by_role("alert")).to_contain_text(
            "this page is out of date", timeout=BECOMES_TRUE
        )
        assert couriers(page) == ["Anna"]

        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("The database cannot be reached")
        assert serious_faults(page) == []
        board.rows.is_away = False
        expect(page.locator(".mission .who a")).to_have_text("Anna", timeout=BECOMES_TRUE)
        expect(page.get_by_role("alert")).to_have_count(0)


def test_everything_works_without_javascript(browser: Browser, busy: Served) -> None:
    with opened(browser, busy, java_script_enabled=False) as page:
        assert len(couriers(page)) == 14
        assert page.locator("meta[http-equiv=refresh]").count() == 1
        page.get_by_label("Courier").fill("olga")
        page.get_by_label("Show").select_option("timeout_between_points")
        page.get_by_role("button", name="Apply").click()
        assert couriers(page) == ["Olga Knipper"]
        page.locator(".mission .who a").click()
        expect(page.get_by_role("heading", name="Why was I paged?")).to_be_visible()
        expect(page.locator(".because")).to_contain_text("Limit: 10 min as planned × 1.5")
        page.locator(".answers summary").first.click()
        expect(page.locator(".answers dd").first).to_contain_text("The route plans 10 min")
        page.get_by_role("link", name="Русский").click()
        expect(page.get_by_role("heading", name="Почему пришло уведомление?")).to_be_visible()


LONG_STORY = f"/board/missions/{quote(LONG, safe='')}"


@pytest.mark.parametrize(
    ("name", "path", "width"),
    [
        ("board", "/board", 390),
        ("board", "/board", 1600),
        ("board-ru", "/board?lang=ru", 360),
        ("board-ru", "/board?lang=ru", 1280),
        ("notifications", "/board#notifications", 360),
        ("mission", "/board/missions/m-201", 390),
        ("mission", "/board/missions/m-201", 1280),
        ("mission-ru", f"{LONG_STORY}?lang=ru", 360),
    ],
)
def test_every_page_is_accessible_on_every_screen(
    browser: Browser, busy: Served, name: str, path: str, width: int
) -> None:
    """On a phone and a desktop, in light and dark: axe-core finds no serious problem, and nothing
    is wider than the screen, whatever the identifiers. The screenshots are kept."""
    size: ViewportSize = {"width": width, "height": SIZES[width]}
    with opened(browser, busy, path, viewport=size) as page:
        page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
        if "missions/" in path:
            wait_for_refresh(page)
            assert page.locator("details:not([open])").count() == 0, "a refresh closed it"
            assert page.locator("details[open]").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(WIDEST, "table, tr, li, .line, .id") <= width
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=screenshots() / f"{name}-{width}-{scheme}.png", full_page=True)
            assert serious_faults(page) == []


BOX = "(selector) => document.querySelector(selector).getBoundingClientRect().toJSON()"
"""Where the first such element is, in pixels. Read in one step: between finding an element and
asking where it is, a refresh may replace it."""
WIDEST = """(selector) => Math.max(0, ...[...document.querySelectorAll(selector)].map(
    (each) => each.getBoundingClientRect().right))"""
LINES = """(selector) => Math.max(...[...document.querySelectorAll(selector)].map((each) =>
    each.getBoundingClientRect().height / parseFloat(getComputedStyle(each).lineHeight)))"""
"""The height of the highest such element, in lines."""


@pytest.mark.parametrize("locale", ["en", "ru"])
def test_a_row_is_one_or_two_lines_and_a_phone_shows_the_first_courier_at_once(
    browser: Browser, busy: Served, locale: str
) -> None:
    with opened(browser, busy, f"/board?lang={locale}") as page:
        for width, height in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate(BOX, ".mission")["bottom"] <= height
            assert page.evaluate(LINES, ".mission > div") < 2.5
        page.goto(f"{busy.url}/board?lang={locale}#notifications")
        for width, height in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate(LINES, ".notification") < 3  # with the space between two of them


def test_a_wide_screen_shows_notifications_beside_the_couriers(
    browser: Browser, busy: Served
) -> None:
    with opened(browser, busy, viewport={"width": 1280, "height": 500}) as page:
        expect(page.locator(".tabs")).to_be_hidden()
        missions, notifications = (
            page.evaluate(BOX, part) for part in ("#live-missions", "#live-notifications")
        )
        assert notifications["x"] > missions["right"]
        assert abs(notifications["y"] - missions["y"]) < 2
        page.evaluate("window.scrollTo(0, 600)")
        expect(page.locator(".notification").first).to_be_in_viewport()
        page.evaluate("document.querySelector('.scroller').scrollTop = 200")
        wait_for_refresh(page)
        assert page.evaluate("document.querySelector('.scroller').scrollTop") == 200


def test_a_phone_shows_notifications_in_a_tab_without_javascript(
    browser: Browser, busy: Served
) -> None:
    phone: ViewportSize = {"width": 390, "height": 844}
    with opened(browser, busy, viewport=phone, java_script_enabled=False) as page:
        expect(page.locator(".notification").first).to_be_hidden()
        page.get_by_role("link", name="Notifications").click()
        expect(page.locator(".notification").first).to_be_in_viewport()
        expect(page.locator(".mission").first).to_be_hidden()
        page.get_by_role("link", name="Filters").click()
        page.get_by_label("Courier").fill("olga")
        page.get_by_role("button", name="Apply").click()
        assert couriers(page) == ["Olga Knipper"]
        expect(page.get_by_role("link", name="Filters (1)")).to_be_visible()


def test_a_tab_stays_open_when_the_board_refreshes(browser: Browser, busy: Served) -> None:
    with opened(browser, busy, viewport={"width": 390, "height": 844}) as page:
        page.get_by_role("link", name="Notifications").click()
        shown = page.locator(".as-of").text_content() or ""
        expect(page.locator(".as-of")).not_to_have_text(shown, timeout=BECOMES_TRUE)
        expect(page.locator(".notification").first).to_be_in_viewport()
        expect(page.locator(".mission").first).to_be_hidden()
        chosen = page.locator(".tabs [aria-current=true]")
        assert chosen.all_inner_texts() == ["Notifications"]
