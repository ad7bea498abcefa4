"""The board's queries, their cost, and its pages."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from notifier.locales import LOCALES
from notifier.resources import ROOT
from notifier.templates import TemplateError
from notifier.web.board.answers import Board, BoardMission, Recipient
from notifier.web.board.axis import Axis, common_axis
from notifier.web.board.filters import Filters
from notifier.web.board.links import Links
from notifier.web.board.pages import require_texts
from notifier.web.board.router import preferred_locale
from notifier.web.shared_answers import SharedAnswers
from sandbox.postgres import Postgres
from tests.board_rigs import LOGIN, Served, fleet, serving, travel
from tests.conftest import PATIENCE_SECONDS, TestDatabase, shared_database
from tests.test_plans import buffers, forget_statistics

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def asked(database: TestDatabase, **arguments: Any) -> dict[str, Any]:
    """What scooters_ops.board() returns."""
    named = ", ".join(f"{name} => %s" for name in arguments)
    answer = database.value(f"select scooters_ops.board({named})", *arguments.values())
    assert isinstance(answer, dict)
    return answer


def shown(answer: dict[str, Any]) -> list[str]:
    return [mission["mission_id"] for mission in answer["missions"]]


def detect(database: TestDatabase) -> int:
    return int(database.value("select scooters_ops.detect_timeouts()"))


# --- Which missions are shown -------------------------------------------------------------------


def test_missions_are_ordered_from_furthest_over_the_limit_to_furthest_below(
    database: TestDatabase,
) -> None:
    travel(database, "fine", ("start", 3))
    travel(database, "close", ("start", 14))
    travel(database, "over", ("start", 30), ("p1", 20), ("-p1", 16))
    travel(database, "far over", ("start", 30), ("p1", 20))
    travel(database, "over long ago", ("start", 60), ("p1", 30), ("-p1", 26), ("p2", 1))
    travel(database, "not started")
    travel(database, "ended", ("start", 60), ("end", 10))
    detect(database)
    answer = asked(database)
    assert shown(answer) == ["far over", "over", "close", "over long ago", "fine"]
    counts = {key: answer[key] for key in ("active", "matching", "overdue")}
    assert counts == {"active": 6, "matching": 5, "overdue": 2}


def test_the_board_shows_what_the_last_pass_recorded_and_says_when_that_was(
    database: TestDatabase,
) -> None:
    travel(database, "m1", ("start", 3))
    answer = asked(database)
    assert (shown(answer), answer["active"], answer["recorded_at"]) == ([], 1, None)
    assert Board.model_validate(answer).recorded_at is None
    detect(database)
    answer = asked(database)
    assert shown(answer) == ["m1"]
    assert datetime.fromisoformat(answer["recorded_at"]) == database.value(
        "select last_pass_at from scooters_ops.detection_status"
    )
    # The other columns of that view evaluate missions, which would take as long as all the rest.
    assert set(answer["detection"]) == {"is_enabled", "is_stalled", "last_pass_at"}


def test_the_board_of_one_database_has_no_missing_shard(database: TestDatabase) -> None:
    answer = asked(database)
    assert Board.model_validate(answer).missing == []
    assert Board.model_validate({**answer, "missing": ["fleet3"]}).missing == ["fleet3"]


def test_the_page_of_a_mission_does_not_wait_for_a_pass(database: TestDatabase) -> None:
    travel(database, "m1", ("start", 30), ("p1", 20))
    story = database.value("select scooters_ops.board_mission('m1')")
    facts = [(each["type"], each["point_id"], each["is_overdue"]) for each in story["intervals"]]
    assert facts == [
        ("timeout_between_points", "p1", False),
        ("timeout_in_point", "p1", True),
    ]


def test_an_open_interval_is_shown_as_on_the_page_of_its_mission(database: TestDatabase) -> None:
    fleet(database)
    now = datetime.now(UTC)
    for each in asked(database, as_of=now)["missions"]:
        story = database.value("select scooters_ops.board_mission(%s, %s)", each["mission_id"], now)
        *past, current = story["intervals"]
        assert each["intervals"] == [current]
        assert each["points_total"] == len(story["points"])
        bars = [{key: one[key] for key in bar} for one, bar in zip(past, each["past"], strict=True)]
        assert each["past"] == bars


def test_http_servers_of_the_version_before_0016_read_the_board_until_they_are_restarted(
    database: TestDatabase,
) -> None:
    fleet(database)
    answer = asked(database)
    assert answer["may_be_late"] == 0
    facts = {"type", "point_id", "position", "started_at", "finished_at", "eta", "factor"}
    facts |= {"limit", "deadline", "elapsed", "is_overdue"}
    assert answer["missions"]
    for each in answer["missions"]:
        assert all(facts <= set(interval) for interval in each["intervals"])


def test_the_board_agrees_with_the_view(database: TestDatabase) -> None:
    fleet(database)
    overdue = database.values(
        "select mission_id from scooters_ops.mission_timeouts where is_open order by deadline"
    )
    assert len(overdue) == 11
    assert shown(asked(database, only_overdue=True)) == overdue
    assert shown(asked(database))[:11] == overdue


def test_a_mission_is_shown_as_overdue_until_a_pass_records_that_it_moved_on(
    database: TestDatabase,
) -> None:
    travel(database, "m1", ("start", 2000))
    assert detect(database) == 0  # older than notify_within_seconds
    assert shown(asked(database, only_overdue=True)) == ["m1"]
    database.value("select scooters_ops.record_event('m1', 'point_arrived', 'p1')")
    assert shown(asked(database, only_overdue=True)) == ["m1"]
    detect(database)
    assert shown(asked(database, only_overdue=True)) == []
    assert shown(asked(database)) == ["m1"]


def test_a_deadline_that_passes_after_the_last_pass_shows_as_overdue(
    database: TestDatabase,
) -> None:
    travel(database, "m1", ("start", 14.99))
    detect(database)
    assert database.tokens() == []
    late = datetime.now(UTC) + timedelta(minutes=1)
    assert shown(asked(database, only_overdue=True, as_of=late)) == ["m1"]


def test_beyond_max_missions_the_worst_are_shown_and_the_others_counted(
    database: TestDatabase,
) -> None:
    for n in range(6):
        travel(database, f"late {n}", ("start", 30 + n))
        travel(database, f"fine {n}", ("start", 3 + n), city="Fine")
    detect(database)
    answer = asked(database, max_missions=4)
    assert shown(answer) == ["late 5", "late 4", "late 3", "late 2"]
    assert (answer["active"], answer["matching"], answer["overdue"]) == (12, 12, 6)
    answer = asked(database, max_missions=8)
    assert shown(answer)[5:] == ["late 0", "fine 5", "fine 4"]
    answer = asked(database, max_missions=2, of_city="Fine")
    assert shown(answer) == ["fine 5", "fine 4"]
    assert (answer["active"], answer["matching"], answer["overdue"]) == (6, 6, 0)
    answer = asked(database, max_missions=2, only_overdue=True)
    assert shown(answer) == ["late 5", "late 4"]
    assert (answer["active"], answer["matching"], answer["overdue"]) == (12, 6, 6)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"of_city": "kazan"}, {"a", "b"}),
        ({"of_city": "Москва"}, {"c"}),
        ({"of_city": "Kaz"}, set()),
        ({"of_performer": "c-a"}, {"a"}),
        ({"of_performer": "ПЕТР"}, {"c"}),
        ({"of_performer": "%"}, set()),
        ({"of_type": "timeout_in_point"}, {"b"}),
        ({"of_type": "timeout_between_points"}, {"a", "c"}),
        ({"of_city": "Kazan", "only_overdue": True}, {"b"}),
    ],
)
def test_filters_apply_to_missions_and_notifications_alike(
    database: TestDatabase, arguments: dict[str, Any], expected: set[str]
) -> None:
    travel(database, "a", ("start", 5), city="Kazan", performer_name="Anna")
    travel(database, "b", ("start", 22), ("p1", 12), city="Kazan", performer_name="Boris")
    travel(database, "c", ("start", 16), city="Москва", performer_name="Пётр Петров")
    assert detect(database) == 2
    answer = asked(database, **arguments)
    assert set(shown(answer)) == expected
    noticed = {each["mission_id"] for each in answer["notifications"]}
    assert noticed == expected - {"a"}


# --- Cost ---------------------------------------------------------------------------------------

MANY = """
insert into scooters_ops.missions (mission_id, performer_id, status, attributes)
select 'm' || m, 'c' || m, 'active', '{"city": "Moscow"}'
from generate_series(%(first)s::int, %(last)s::int) as m;
insert into scooters_ops.mission_points (mission_id, point_id, position, eta)
select 'm' || m, 'p' || p, p, interval '10 minutes'
from generate_series(%(first)s::int, %(last)s::int) as m, generate_series(1, 3) as p;
insert into scooters_ops.missions_history (mission_id, point_id, type, occurred_at)
select 'm' || m, null, 'mission_started', now() - interval '1 second' * (m %% 1000)
from generate_series(%(first)s::int, %(last)s::int) as m;
"""
"""One mission in ten is over its limit of 15 minutes."""


def grow(database: TestDatabase, first: int, last: int) -> None:
    for statement in MANY.split(";\n"):
        if statement.strip():
            database.connection.execute(statement, {"first": first, "last": last})
    detect(database)
    database.connection.execute("vacuum analyze")


@pytest.mark.parametrize(
    "arguments", ["", "of_type => 'timeout_between_points'", "only_overdue => true"]
)
@pytest.mark.slow
def test_its_cost_hardly_grows_with_the_number_of_active_missions(
    cluster: Postgres, arguments: str
) -> None:
    """Each further mission costs its entries in the indexes that are counted. At both sizes the
    indexes that are searched have the same depth."""
    statement = f"select scooters_ops.board({arguments})"
    with shared_database(cluster) as database:
        grow(database, 1, 5500)
        few = buffers(database, statement)
        grow(database, 5501, 8500)
        many = buffers(database, statement)
    assert few < 4_000
    assert many - few < 200


def test_it_scans_no_growing_table_even_before_the_first_analyze(
    cluster: Postgres,
) -> None:
    with shared_database(cluster) as database:
        grow(database, 1, 3000)
        with database.connection.transaction(force_rollback=True):
            forget_statistics(database)
            assert buffers(database, "select scooters_ops.board()") < 10_000
            answer = asked(database)
    assert (answer["active"], len(answer["missions"])) == (3000, 200)


@pytest.mark.slow
def test_a_hundred_open_boards_cost_one_query_per_refresh(database: TestDatabase) -> None:
    travel(database, "m1", ("start", 20), city="Moscow")
    detect(database)

    async def look(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client:
            paths = ("/board", "/board?lang=ru", "/board?fragment=1&lang=en", "/board?city=")
            return await asyncio.gather(*(client.get(paths[n % 4]) for n in range(100)))

    with serving(database, refresh_seconds=2 * PATIENCE_SECONDS) as board:
        for _ in range(2):
            answers = asyncio.run(look(board.url))
            assert {answer.status_code for answer in answers} == {200}
            assert len(board.rows.queries) == 1
            assert all("c-m1" in answer.text for answer in answers)


# --- Shared answers -----------------------------------------------------------------------------


def test_an_answer_is_shared_until_it_is_old_and_so_is_an_error() -> None:
    questions: list[str] = []

    async def ask(question: str) -> str:
        questions.append(question)
        await asyncio.sleep(0.01)
        if question == "bad":
            raise ValueError(question)
        return question.upper()

    async def story() -> None:
        answers = SharedAnswers(ask, 3600)
        assert await asyncio.gather(*(answers.get("a") for _ in range(50))) == ["A"] * 50
        assert await answers.get("a") == "A"
        assert await answers.get("b") == "B"
        for _ in range(2):
            with pytest.raises(ValueError, match="bad"):
                await answers.get("bad")
        assert questions == ["a", "b", "bad"]
        for entry in answers._entries.values():
            entry.fresh_until = 0  # an hour later
        assert await answers.get("a") == "A"
        assert questions == ["a", "b", "bad", "a"]

    asyncio.run(story())


def test_a_cancelled_caller_does_not_cancel_the_shared_query() -> None:
    async def ask(question: str) -> str:
        await asyncio.sleep(0.05)
        return question

    async def story() -> None:
        answers = SharedAnswers(ask, 1)
        first, second = (asyncio.create_task(answers.get("a")) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        assert await second == "a"

    asyncio.run(story())


# --- Pages --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy(cluster: Postgres) -> Iterator[Served]:
    """A board with a fleet that all tests share and none changes."""
    with shared_database(cluster) as database:
        fleet(database)
        with serving(database, locale="ru") as served:
            yield served


PATHS = (
    "/board",
    "/board?lang=ru&type=job_skipped",
    "/board?fragment=1",
    "/board/missions/m-104",
    "/board/missions/nobody",
    "/board/static/board.css",
    "/board/static/board.js",
    "/board/static/board.svg",
    "/board/static/board.py",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_response_has_the_strict_security_headers(busy: Served, path: str) -> None:
    answer = httpx.get(busy.url + path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    expected = "immutable" if answer.is_success and "static" in path else "no-store"
    if "static/board.py" not in path:
        assert expected in answer.headers["cache-control"]
    assert (answer.status_code == 404) == path.endswith(("nobody", ".py"))


@pytest.mark.parametrize("path", [path for path in PATHS if "static" not in path])
def test_no_page_has_inline_style_or_script_or_names_another_host(busy: Served, path: str) -> None:
    html = httpx.get(busy.url + path).text
    assert not re.search(r"<style|\sstyle=|<script(?! src=\"/board/)|\son\w+=|javascript:", html)
    # People follow a link to a message or a ticket; the page itself asks nobody else.
    own = re.sub(r'<a class="reference" href="https://[^"]+" rel="noopener noreferrer">', "", html)
    assert not re.search(r"(src|href|action)=\"(https?:)?//", own)


@pytest.mark.parametrize(
    ("query", "header", "locale"),
    [
        ("", "", "ru"),
        ("", "de-DE,en;q=0.5,ru;q=0.4", "en"),
        ("", "de", "ru"),
        ("?lang=en", "ru", "en"),
        ("?lang=xx", "en-GB", "en"),
    ],
)
def test_the_url_chooses_the_language_then_the_browser_then_config(
    busy: Served, query: str, header: str, locale: str
) -> None:
    answer = httpx.get(f"{busy.url}/board{query}", headers={"accept-language": header})
    assert answer.headers["content-language"] == locale
    assert f'<html lang="{locale}">' in answer.text


@pytest.mark.parametrize(
    ("header", "locale"),
    [("*", "en"), ("ru;q=0, en;q=0.1", "en"), ("ru;q=x", "en"), ("fr;q=0.9, RU;q=0.8", "ru")],
)
def test_an_odd_accept_language_header_still_yields_a_locale(header: str, locale: str) -> None:
    assert preferred_locale(header, LOCALES, "en") == locale


def test_odd_queries_are_not_an_error(busy: Served) -> None:
    for query in (
        "type=nonsense",
        "city=%00",
        "performer=%ff%fe",
        "overdue=2",
        "city=" + "x" * 900,
    ):
        assert httpx.get(f"{busy.url}/board?{query}").status_code == 200
    assert httpx.get(f"{busy.url}/board/missions/a%00b").status_code == 404
    assert httpx.get(f"{busy.url}/board/missions/%ff").status_code == 404
    assert httpx.get(f"{busy.url}/board/missions/" + "x" * 3000).status_code == 404


def test_empty_filters_are_not_in_the_url() -> None:
    filters = Filters.of({"type": "job_skipped", "city": " Moscow ", "performer": ""})
    assert filters.query() == "type=job_skipped&city=Moscow"
    assert filters.query(lang="ru") == "type=job_skipped&city=Moscow&lang=ru"


def test_the_mission_page_says_why_and_to_whom_it_was_sent(busy: Served) -> None:
    page = httpx.get(f"{busy.url}/board/missions/m-104?lang=en").text
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    for expected in (
        "Gleb Uspensky",
        "Too long at a point at p2: since",
        "over its limit of 7 min 30 s",
        "Limit: 5 min as planned × 1.5.",
        "skipped job j1 (battery_exchange), at p3.",
        "st DUTY retrying since",
        "502 Bad Gateway",
    ):
        assert expected in words, words


def words(html: str) -> str:
    """What a page says."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def row_of(page: str, name: str, kind: str = "mission") -> str:
    """What the row of a courier says."""
    (row,) = [
        found
        for found in re.findall(rf'<li class="{kind}\b.*?</li>', page, re.DOTALL)
        if name in found
    ]
    return words(row)


def test_each_row_says_who_was_told_and_when_who_has_it_and_who_is_told_next(busy: Served) -> None:
    page = httpx.get(f"{busy.url}/board?lang=en").text
    clock = r"\d\d:\d\d"
    for name, expected in {
        "Nikita Kozhemyaka": rf"sent {clock} st DUTY-\d+ · telegram -1001 next at {clock}: rem",
        "Egor Letov": rf"sent {clock} st DUTY-\d+ .*acknowledged by Nadezhda Dispatcher, {clock} $",
        "Mila Jovovich": r"telegram -1001 failed: Forbidden: bot was kicked .* next at",
        "Olga Knipper": rf"in doubt.* sent {clock} st DUTY-\d+ · escalation 1 telegram -1009",
    }.items():
        assert re.search(expected, row_of(page, name)), row_of(page, name)
    assert "next at" not in row_of(page, "Egor Letov")
    resolved = row_of(page, "Rita Resolved", "notification")
    assert re.search(rf"st DUTY-\d+ · telegram -1001 arrived at {clock} $", resolved), resolved

    page = httpx.get(f"{busy.url}/board?lang=ru").text
    for name, expected in {
        "Nikita Kozhemyaka": rf"отправлено {clock} st DUTY-\d+ · .* далее в {clock}: напоминание 1",
        "Egor Letov": rf"принято: Nadezhda Dispatcher, {clock}",
    }.items():
        assert re.search(expected, row_of(page, name)), row_of(page, name)


def test_the_mission_page_says_what_became_of_each_message(busy: Served) -> None:
    def page(mission_id: str) -> str:
        return words(httpx.get(f"{busy.url}/board/missions/{mission_id}?lang=en").text)

    assert re.search(r"telegram -1009 escalation 1 sent \d\d:\d\d", page("m-201"))
    assert re.search(r"next at \d\d:\d\d: reminder 1 ", page("m-201"))
    assert re.search(r"acknowledged by Nadezhda Dispatcher, \d\d:\d\d", page("m-106"))
    assert re.search(r"arrived at \d\d:\d\d ?, after 30 min.*, 15 min.* over the", page("m-204"))


def test_tickets_are_links_where_their_channel_has_addresses(busy: Served) -> None:
    for path in ("/board", "/board/missions/m-204"):
        links = re.findall(
            r'href="(https://tracker[^"]+)".*?>(?:<bdi>)?([^<]+)<', httpx.get(busy.url + path).text
        )
        assert links
        assert all(url == f"https://tracker.yandex.ru/{key}" for url, key in links)


def test_a_channel_without_readable_settings_has_no_links() -> None:
    ticket = Recipient(
        channel="st", address="DUTY", target={"type": "st", "queue": "DUTY"}, state="sent",
        attempts=1, error=None, reference="DUTY-1", since=NOW, sent_at=NOW,
    )  # fmt: skip
    settings = json.loads((ROOT / "config.json").read_text("utf-8"))["channels"]
    assert Links(settings).link(ticket) == "https://tracker.yandex.ru/DUTY-1"
    assert Links({"st": {**settings["st"], "web_url": "https://t.example/"}}).link(ticket) == (
        "https://t.example/DUTY-1"
    )
    unreadable: list[dict[str, Any]] = [{}, {"st": None}, {"st": {"newer": 1}}, {"sms": {}}]
    for channels in unreadable:
        assert Links(channels).link(ticket) is None
    assert Links(settings).link(ticket.model_copy(update={"reference": None})) is None


# --- What the board says of a notification ------------------------------------------------------


def escalated(database: TestDatabase) -> int:
    """A planned notification of m1, with an alert, two escalations and a reminder; its number."""
    chats = [{"type": "telegram", "chat_id": -number} for number in (1001, 1002, 1003)]
    database.apply_config(
        routes=[
            {
                "match": {},
                "recipients": chats[:1],
                "escalate": [
                    {"after_seconds": 900, "recipients": chats[1:]},
                    {"after_seconds": 1800, "recipients": chats[2:]},
                ],
                "remind": {"every_seconds": 1200, "times": 2},
            }
        ]
    )
    travel(database, "m1", ("start", 16))
    assert detect(database) == 1
    database.value("select scooters_ops.plan_deliveries(10)")
    return int(database.value("select notification_id from scooters_ops.notifications"))


def notified(database: TestDatabase) -> dict[str, Any]:
    """The one notification, which row, list and the mission's page describe alike."""
    answer = asked(database)
    (row,) = answer["open_notifications"].values()
    (listed,) = answer["notifications"]
    story = database.value("select scooters_ops.board_mission('m1')")
    assert story["notifications"] == [listed]
    assert {key: listed[key] for key in row} == row
    return dict(listed)


def steps_of(listed: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["step"], each["state"]) for each in listed["recipients"]]


def test_the_next_step_is_the_earliest_that_is_still_to_come(database: TestDatabase) -> None:
    escalated(database)
    listed = notified(database)
    assert steps_of(listed) == [("alert", "pending")]
    upcoming = listed["next_step"]
    assert datetime.fromisoformat(upcoming["at"]) - datetime.fromisoformat(
        listed["created_at"]
    ) == timedelta(seconds=900)
    assert {each["address"] for each in upcoming["recipients"]} == {"-1002", "-1003"}
    assert {each["step"] for each in upcoming["recipients"]} == {"escalation_1"}

    recipients = "update scooters_ops.notification_recipients set"
    database.connection.execute(
        f"{recipients} state = 'sent', sent_at = now() where step in ('alert', 'escalation_1')"
    )
    listed = notified(database)
    assert steps_of(listed) == [("alert", "sent"), *2 * [("escalation_1", "sent")]]
    assert [each["step"] for each in listed["next_step"]["recipients"]] == ["reminder_1"]

    token = listed["token"]
    database.value("select scooters_ops.acknowledge(%s, 'Vera')", token)
    listed = notified(database)
    assert (listed["acknowledged_by"], listed["next_step"]) == ("Vera", None)
    # The edits that say so are not listed, unless they fail.
    assert steps_of(listed) == [("alert", "sent"), *2 * [("escalation_1", "sent")]]
    database.connection.execute(f"{recipients} state = 'failed' where step = 'acknowledged'")
    assert ("acknowledged", "failed") in steps_of(notified(database))


def test_a_board_says_how_a_notification_was_resolved(database: TestDatabase) -> None:
    escalated(database)
    database.connection.execute(
        "update scooters_ops.notification_recipients set state = 'sent', sent_at = now()"
        " where step = 'alert'"
    )
    database.value("select scooters_ops.record_event('m1', 'point_arrived', 'p1')")
    detect(database)
    answer = asked(database)
    (listed,) = answer["notifications"]
    assert answer["open_notifications"] == {}  # the open interval is another one
    assert (listed["resolution"], listed["next_step"]) == ("moved_on", None)
    assert listed["finished_at"] < listed["resolved_at"]
    assert Board.model_validate(answer).notifications[0].resolution == "moved_on"


def test_messages_of_notifier_test_are_not_on_the_board(database: TestDatabase) -> None:
    notification_id = escalated(database)
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set type = 'test' where notification_id = %s",
        (notification_id,),
    )
    assert asked(database)["notifications"] == []
    assert database.value("select scooters_ops.board_mission('m1')")["notifications"] == []


def test_of_several_steps_a_row_names_each_address_once_and_failures_first(
    database: TestDatabase,
) -> None:
    escalated(database)
    for step, state, at in (
        ("alert", "sent", "now()"),
        ("reminder_1", "sent", "now() + interval '20 min'"),
        ("escalation_1", "failed", "null"),
    ):
        database.connection.execute(
            "update scooters_ops.notification_recipients"
            f" set state = '{state}', sent_at = {at} where step = '{step}'"
        )
    told = Board.model_validate(asked(database)).open_notifications["m1"].told
    assert {each.address for each in told[:2]} == {"-1002", "-1003"}
    assert [(each.kind, each.level, each.state) for each in told] == [
        *2 * [("escalation", 1, "failed")],
        ("reminder", 1, "sent"),
    ]


def test_an_unreadable_notification_does_not_hide_the_others(database: TestDatabase) -> None:
    escalated(database)
    answer = asked(database)
    answer["open_notifications"]["m2"] = {"token": None}
    assert list(Board.model_validate(answer).open_notifications) == ["m1"]


def test_unrouted_and_blocked_notifications_are_shown(database: TestDatabase) -> None:
    database.apply_config(routes=[])
    travel(database, "m1", ("start", 5))
    travel(database, "m2", ("start", 5))
    database.value("select scooters_ops.skip_job('m1', 'p1', 'j1')")
    database.value("select scooters_ops.plan_deliveries(10)")
    database.apply_config(
        routes=[{"match": {}, "recipients": [{"type": "telegram", "chat_id": -1001}]}]
    )
    database.value("select scooters_ops.skip_job('m2', 'p1', 'j1')")
    database.value("select scooters_ops.plan_deliveries(10)")
    database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set is_blocked = true, last_error = 'template en/job_skipped: line 1'"
    )
    with serving(database) as board:
        pages = {
            path: re.sub(r"\s+", " ", httpx.get(f"{board.url}{path}?lang=en").text)
            for path in ("/board", "/board/missions/m1", "/board/missions/m2")
        }
    for path in ("/board", "/board/missions/m1"):
        assert "no route matches, so nobody receives it" in pages[path]
    assert "Without a route: 1, so nobody receives them." in pages["/board"]
    assert "telegram: 1 blocked. Fix what the error says" in pages["/board"]
    assert "blocked: the message cannot be rendered" in pages["/board/missions/m2"]
    assert "template en/job_skipped: line 1" in pages["/board/missions/m2"]


def test_a_missing_right_is_named(database: TestDatabase) -> None:
    with serving(database) as board:
        database.connection.execute(f"revoke scooters_ops_analyst from {LOGIN}")
        try:
            answer = httpx.get(f"{board.url}/board")
        finally:
            database.connection.execute(f"grant scooters_ops_analyst to {LOGIN}")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "lacks the role scooters_ops_analyst" in answer.text


def test_events_of_the_year_9999_are_shown(database: TestDatabase) -> None:
    travel(database, "m1", ("start", 5))
    database.value(
        "select scooters_ops.record_event('m1', 'point_arrived', 'p1', '9999-12-31 23:59+00')"
    )
    with serving(database) as board:
        assert "9999-12-31" in httpx.get(f"{board.url}/board/missions/m1").text


# --- Texts and axes -----------------------------------------------------------------------------

BOARD = ROOT / "notifier" / "web" / "board"
TEXTS = {
    locale: json.loads((BOARD / "texts" / f"{locale}.json").read_text("utf-8"))
    for locale in LOCALES
}


def test_every_locale_has_the_same_texts_with_the_same_placeholders() -> None:
    def blanks(texts: dict[str, str]) -> dict[str, set[str]]:
        return {
            key: {name for _, name, _, _ in Formatter().parse(text) if name}
            for key, text in texts.items()
        }

    english = blanks(TEXTS["en"])
    for texts in TEXTS.values():
        assert blanks(texts) == english
        assert list(texts) == list(TEXTS["en"])


@pytest.mark.parametrize("key", ["type_job_skipped", "event_point_arrived", "pause"])
def test_a_missing_text_is_named_with_its_locale_at_the_start(key: str) -> None:
    require_texts(TEXTS)
    russian = {known: text for known, text in TEXTS["ru"].items() if known != key}
    with pytest.raises(TemplateError, match=rf"texts/ru\.json: the board has no text '{key}'"):
        require_texts(TEXTS | {"ru": russian})


def test_every_text_is_used() -> None:
    source = "".join(path.read_text("utf-8") for path in (BOARD / "templates").glob("*.j2"))
    used = set(re.findall(r"\bt\.(\w+)", source))
    prefixes = set(re.findall(r't(?:\[|\.get\()"(\w+_)" ~', source))
    prefixes |= {"because_", "fact_"}  # the filter because uses them
    for key in TEXTS["en"]:
        assert key in used or key.startswith(tuple(prefixes)), key


def mission(minutes: float) -> BoardMission:
    interval = {
        "type": "timeout_in_point",
        "point_id": "p1",
        "position": 1,
        "started_at": NOW - timedelta(minutes=minutes),
        "finished_at": None,
        "eta": 300,
        "factor": 1.5,
        "limit": 450,
        "deadline": NOW,
        "elapsed": minutes * 60,
        "is_overdue": False,
    }
    return BoardMission.model_validate(
        {
            "mission_id": "m1",
            "performer_id": "c1",
            "attributes": {},
            "points_total": 1,
            "past": [],
            "intervals": [interval],
        }
    )


def test_a_courier_who_has_been_away_for_days_does_not_squeeze_the_other_bars() -> None:
    missions = [*(mission(20) for _ in range(19)), mission(5000)]
    axis = common_axis(missions, NOW)
    assert axis.now - axis.start == timedelta(minutes=30)
    assert axis.x(NOW - timedelta(minutes=5000)) == 0
    assert axis.width(NOW - timedelta(minutes=5000), NOW) == 80


def test_ticks_are_round_times_on_the_time_zones_clock() -> None:
    axis = Axis(NOW - timedelta(minutes=60), NOW, NOW + timedelta(minutes=15))
    ticks = axis.ticks(ZoneInfo("Asia/Kathmandu"))  # UTC+5:45
    assert [f"{tick:%H:%M}" for tick in ticks] == ["17:00", "17:15", "17:30", "17:45"]


def test_the_models_read_what_the_database_answers(database: TestDatabase) -> None:
    fleet(database)
    board = Board.model_validate(asked(database))
    assert board.missions[0].current is not None
    assert board.missions[0].current.over is not None
    assert {each.state for n in board.notifications for each in n.recipients} == {
        "sent",
        "retrying",
        "in_doubt",
        "failed",
    }
