"""The stand-ins behave as the real APIs do, and misbehave as they are told."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sandbox.standins import (
    HALF_AN_ANSWER,
    RESET_AFTER,
    RESET_BEFORE,
    Call,
    Chat,
    Comment,
    Entity,
    Fault,
    Move,
    RandomFaults,
    StandIn,
    TelegramStandIn,
    TrackerStandIn,
    held,
    late,
    page,
    parse_html,
    telegram_faults,
    tracker_faults,
)
from tests.conftest import PATIENCE_SECONDS, until

BOT = "12345:token"


@pytest.fixture
def telegram() -> Iterator[TelegramStandIn]:
    with TelegramStandIn(BOT, [Chat(-1001), Chat(-1002, "City", topics=frozenset({7}))]) as server:
        yield server


@pytest.fixture
def tracker() -> Iterator[TrackerStandIn]:
    with TrackerStandIn("secret", organization=("X-Org-ID", "7")) as server:
        yield server


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as client:
        yield client


def send(client: httpx.Client, server: TelegramStandIn, **request: Any) -> httpx.Response:
    body = {"chat_id": -1001, "text": "Late", **request}
    return client.post(f"{server.base_url}/bot{BOT}/sendMessage", json=body)


def create(client: httpx.Client, server: TrackerStandIn, **issue: Any) -> httpx.Response:
    body = {"summary": "Late", "queue": "DUTY", **issue}
    headers = {"Authorization": "OAuth secret", "X-Org-ID": "7"}
    return client.post(f"{server.base_url}/v3/issues/", json=body, headers=headers)


# Which error a reset causes depends on whether the client is still writing or already reads.
RESET = (httpx.ReadError, httpx.RemoteProtocolError)


# --- Faults ------------------------------------------------------------------------------------


def test_scripted_faults_come_in_order_once_each(
    client: httpx.Client, telegram: TelegramStandIn
) -> None:
    telegram.script(RESET_BEFORE, RESET_AFTER, HALF_AN_ANSWER, page(502), late(0.01))
    with pytest.raises(RESET):
        send(client, telegram)
    assert telegram.messages == []
    with pytest.raises(RESET):
        send(client, telegram)
    assert len(telegram.messages) == 1
    with pytest.raises(httpx.RemoteProtocolError):
        send(client, telegram)
    assert len(telegram.messages) == 2
    assert send(client, telegram).text.startswith("<html>")
    assert len(telegram.messages) == 2
    assert send(client, telegram).json()["ok"]
    assert send(client, telegram).json()["result"]["message_id"] == len(telegram.messages) == 4


def test_a_scripted_fault_waits_for_a_request_for_its_operation(
    client: httpx.Client, telegram: TelegramStandIn
) -> None:
    telegram.script(telegram.refusal(500, "no"))
    assert client.get(f"{telegram.base_url}/bot{BOT}/getMe").json()["result"]["is_bot"]
    assert send(client, telegram).status_code == 500


def test_a_server_that_was_down_is_back_on_its_port_with_its_ledger(
    client: httpx.Client, telegram: TelegramStandIn
) -> None:
    send(client, telegram)
    with telegram.down(), pytest.raises(httpx.ConnectError):
        send(httpx.Client(trust_env=False), telegram)
    assert send(httpx.Client(trust_env=False), telegram).status_code == 200
    assert len(telegram.messages) == 2


def test_a_server_stops_while_an_answer_is_late(telegram: TelegramStandIn) -> None:
    telegram.script(late(2 * PATIENCE_SECONDS))
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(send, httpx.Client(trust_env=False, timeout=None), telegram)
        until(lambda: bool(telegram.messages))
        with telegram.down():
            assert sending.exception(PATIENCE_SECONDS) is not None or sending.result().is_success


# --- The ledger --------------------------------------------------------------------------------


def test_the_ledger_has_every_request_and_what_was_done_with_it(
    client: httpx.Client, telegram: TelegramStandIn
) -> None:
    telegram.script(RESET_AFTER, telegram.refusal(429, "Too Many Requests", 1), page(502))
    began = time.time()
    with pytest.raises(RESET):
        send(client, telegram)
    for _ in range(3):
        send(client, telegram)

    until_idle(client, telegram)
    assert [
        (entry.fault.name if entry.fault else "", entry.status, entry.outcome, entry.accepted)
        for entry in telegram.ledger
    ] == [
        ("reset after accepting", 200, "none", telegram.messages[0]),
        ("429 Too Many Requests", 429, "whole", None),
        ("a page with status 502", 502, "whole", None),
        ("", 200, "whole", telegram.messages[1]),
    ]
    arrivals = [entry.arrived_at for entry in telegram.ledger]
    assert began <= arrivals[0]
    assert arrivals == sorted(arrivals)


def test_the_ledger_identifies_senders_by_their_tokens(
    client: httpx.Client, telegram: TelegramStandIn, tracker: TrackerStandIn
) -> None:
    telegram.more_tokens.add("12345:another")
    tracker.more_tokens.add("another")
    send(client, telegram)
    body = {"chat_id": -1001, "text": "Late"}
    for token, status in (("12345:another", 200), ("12345:unknown", 401)):
        answer = client.post(f"{telegram.base_url}/bot{token}/sendMessage", json=body)
        assert answer.status_code == status
    for token, status in (("another", 201), ("unknown", 401)):
        answer = client.post(
            f"{tracker.base_url}/v3/issues/",
            json={"summary": "Late", "queue": "DUTY"},
            headers={"Authorization": f"OAuth {token}", "X-Org-ID": "7"},
        )
        assert answer.status_code == status

    assert [telegram.token_of(entry.call) for entry in telegram.ledger] == [
        BOT,
        "12345:another",
        "12345:unknown",
    ]
    assert [tracker.token_of(entry.call) for entry in tracker.ledger] == ["another", "unknown"]


def test_the_ledger_knows_that_a_client_hung_up_before_its_answer(
    telegram: TelegramStandIn,
) -> None:
    answer = threading.Event()
    telegram.script(held(answer))
    timeout = httpx.Timeout(PATIENCE_SECONDS, read=0.1)
    with httpx.Client(trust_env=False, timeout=timeout) as hasty, pytest.raises(httpx.ReadTimeout):
        send(hasty, telegram)
    answer.set()
    until_idle(hasty, telegram)
    assert [entry.outcome for entry in telegram.ledger] == ["unheard"]


def test_the_ledger_knows_how_long_a_request_waited_unread(telegram: TelegramStandIn) -> None:
    with ThreadPoolExecutor() as pool:
        with telegram._lock:  # as if the server were busy: it needs the lock before it reads a body
            sending = pool.submit(send, httpx.Client(trust_env=False, timeout=None), telegram)
            time.sleep(0.5)
        sending.result()
    send(httpx.Client(trust_env=False, timeout=None), telegram)
    assert telegram.ledger[0].waited_seconds > 0.2
    assert telegram.ledger[1].waited_seconds < telegram.ledger[0].waited_seconds


def test_an_incomplete_request_is_ignored(telegram: TelegramStandIn) -> None:
    url = urlsplit(telegram.base_url)
    with socket.create_connection((url.hostname, url.port)) as client:
        client.sendall(
            f"POST /bot{BOT}/sendMessage HTTP/1.1\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert telegram.ledger == []


def until_idle(client: httpx.Client, server: StandIn) -> None:
    client.close()
    until(lambda: server.is_idle)


# --- Chance ------------------------------------------------------------------------------------

FAULTS = [(RESET_BEFORE, 3.0), (page(502), 1.0)]


def text_of(call: Call) -> str:
    return str(call.body["text"])


def drawn(seed: str, texts: list[str], share: float = 0.5) -> list[tuple[str, Fault | None]]:
    chance = RandomFaults(seed, share, FAULTS, text_of)
    calls = [Call("sendMessage", "POST", "/", {}, Any, {"text": text}) for text in texts]  # type: ignore[arg-type]
    return sorted(
        ((text, chance.draw(call)) for text, call in zip(texts, calls, strict=True)),
        key=lambda each: each[0],
    )


def test_the_seed_decides_the_fault_of_each_request_whatever_their_order() -> None:
    texts = [f"{number % 100}" for number in range(300)]
    assert drawn("seed", texts) == drawn("seed", texts)
    assert drawn("seed", texts) == drawn("seed", sorted(texts))
    assert drawn("seed", texts) != drawn("another", texts)


def test_random_faults_have_their_share_and_their_weights() -> None:
    names = Counter(
        fault.name for _, fault in drawn("seed", [str(n) for n in range(4000)], 0.2) if fault
    )
    assert 700 < names.total() < 900
    assert 2.5 < names[RESET_BEFORE.name] / names[page(502).name] < 3.5


def test_scripted_faults_come_before_random_ones(
    client: httpx.Client, telegram: TelegramStandIn
) -> None:
    telegram.chance = RandomFaults("seed", 1.0, [(page(502), 1)], text_of)
    telegram.script(telegram.refusal(400, "Bad Request: no"))
    assert [send(client, telegram).status_code for _ in range(3)] == [400, 502, 502]


def test_random_faults_cover_every_error_that_the_apis_are_known_for(
    telegram: TelegramStandIn, tracker: TrackerStandIn
) -> None:
    for faults, statuses in (
        (telegram_faults(telegram, 4), {400, 401, 403, 404, 429, 500, 502}),
        (tracker_faults(tracker, 4), {400, 401, 403, 404, 409, 412, 422, 423, 428, 429, 500, 503}),
    ):
        kinds = [fault for fault, weight in faults if weight > 0]
        assert statuses | {200, 302, 502, 504} <= {
            fault.reply.status for fault in kinds if fault.reply
        }
        wanted = (RESET_BEFORE, RESET_AFTER, HALF_AN_ANSWER, page(502), page(502, accepts=True))
        assert all(fault in kinds for fault in wanted)
        assert any(fault.delay_seconds > 4 for fault in kinds)
        assert any(fault.reply and "Retry-After" in fault.reply.headers for fault in kinds)


# --- Telegram ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [(f"bot{BOT}/sendmessage", 404), ("bot1:x/sendMessage", 401), ("sendMessage", 404), ("", 404)],
)
def test_telegram_refuses_an_unknown_bot_or_method(
    client: httpx.Client, telegram: TelegramStandIn, path: str, status: int
) -> None:
    answer = client.post(f"{telegram.base_url}/{path}", json={"chat_id": -1001, "text": "Late"})
    assert answer.status_code == answer.json()["error_code"] == status
    assert answer.json()["ok"] is False


@pytest.mark.parametrize(
    ("request_", "description"),
    [
        ({"text": ""}, "message text is empty"),
        ({"text": " \n"}, "text must be non-empty"),
        ({"text": "x" * 4097}, "message is too long"),
        ({"text": "<b>x</b>" * 4097, "parse_mode": "HTML"}, "message is too long"),
        ({"text": "я" * 16_385}, "message is too long"),
        ({"text": "<b>", "parse_mode": "html"}, "can't parse entities"),
        ({"parse_mode": "BBCode"}, "unsupported parse_mode"),
        ({"chat_id": None}, "chat_id is empty"),
        ({"chat_id": -5}, "chat not found"),
        ({"message_thread_id": 7}, "message thread not found"),
        ({"chat_id": -1002, "message_thread_id": 1}, "message thread not found"),
    ],
)
def test_telegram_refuses_a_bad_message(
    client: httpx.Client, telegram: TelegramStandIn, request_: dict[str, Any], description: str
) -> None:
    answer = send(client, telegram, **request_)
    assert answer.status_code == 400
    assert answer.json()["description"].startswith(f"Bad Request: {description}")
    assert telegram.messages == []


def test_telegram_answers_with_the_message(client: httpx.Client, telegram: TelegramStandIn) -> None:
    answer = send(
        client, telegram, chat_id=-1002, message_thread_id=7, text="🛴<b>L</b>", parse_mode="HTML"
    )
    result = answer.json()["result"]
    assert result["message_id"] == 1
    assert result["message_thread_id"] == 7
    assert result["chat"] == {"id": -1002, "title": "City", "type": "supergroup"}
    assert result["text"] == "🛴L"
    assert result["entities"] == [{"type": "bold", "offset": 2, "length": 1}]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a &lt;b&gt; &amp;amp; &quot;&#33;&#x21;", 'a <b> &amp; "!!'),
        ("&nbsp;&copy; R&D", "&nbsp;&copy; R&D"),
        ('<a href="http://h/?a>b">x</a>', "x"),
        ("<B>x</b >", "x"),
        ('<span class="tg-spoiler">x</span><tg-spoiler>y</tg-spoiler>', "xy"),
        ('<pre><code class="language-sql">x</code></pre>', "x"),
        ("a > b", "a > b"),
    ],
)
def test_telegrams_html_is_parsed(markup: str, text: str) -> None:
    assert parse_html(markup)[0] == text


def test_entities_are_counted_in_utf16_units() -> None:
    assert parse_html("я🛴<i>x<b>🛴</b></i><u></u>")[1] == [
        Entity("bold", 4, 2),
        Entity("italic", 3, 3),
    ]


@pytest.mark.parametrize(
    ("markup", "problem"),
    [
        ("я<br>", 'Unsupported start tag "br" at byte offset 2'),
        ("5 < 6 and 7 > 2", 'Unsupported start tag "" at byte offset 2'),
        ("5 < 6", "Unclosed start tag at byte offset 2"),
        ("<b", "Unclosed start tag at byte offset 0"),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("<i><b>x</i></b>", 'Unmatched end tag at byte offset 7, expected "</b>", found "</i>"'),
        ("<b><i>x</i>", 'Can\'t find end tag corresponding to start tag "b"'),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ],
)
def test_bad_html_is_refused_as_telegram_does(markup: str, problem: str) -> None:
    with pytest.raises(Exception, match="can't parse entities") as caught:
        parse_html(markup)
    assert str(caught.value) == f"can't parse entities: {problem}"


# --- Tracker -----------------------------------------------------------------------------------


def test_concurrent_requests_with_one_unique_create_one_issue(
    client: httpx.Client, tracker: TrackerStandIn
) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(create, client, tracker, unique="u1") for _ in range(16)]
        statuses = [answer.result().status_code for answer in asked]
    assert sorted(statuses) == [201] + [409] * 15
    assert [ticket.unique for ticket in tracker.tickets] == ["u1"]


def test_requests_without_a_unique_create_an_issue_each(
    client: httpx.Client, tracker: TrackerStandIn
) -> None:
    assert [create(client, tracker).json()["key"] for _ in range(2)] == ["DUTY-1", "DUTY-2"]


@pytest.mark.parametrize(
    ("issue", "status", "field"),
    [
        ({"summary": " "}, 422, "summary"),
        ({"queue": None}, 422, "queue"),
        ({"unique": 5}, 422, "unique"),
        ({"queue": "NOSUCH"}, 404, None),
    ],
)
def test_tracker_refuses_a_bad_issue(
    client: httpx.Client,
    tracker: TrackerStandIn,
    issue: dict[str, Any],
    status: int,
    field: str | None,
) -> None:
    answer = create(client, tracker, **issue)
    assert answer.status_code == answer.json()["statusCode"] == status
    assert list(answer.json()["errors"]) == ([field] if field else [])
    assert tracker.tickets == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Org-ID": "7"}, 401),
        ({"Authorization": "Bearer secret", "X-Org-ID": "7"}, 401),
        ({"Authorization": "OAuth secret"}, 403),
        ({"Authorization": "OAuth secret", "X-Org-ID": "8"}, 403),
        ({"Authorization": "OAuth secret", "X-Org-ID": "7", "X-Cloud-Org-ID": "7"}, 403),
        ({"Authorization": "OAuth secret", "X-Org-ID": "7"}, 200),
    ],
)
def test_tracker_checks_the_token_and_the_organization(
    client: httpx.Client, tracker: TrackerStandIn, headers: dict[str, str], status: int
) -> None:
    answer = client.get(f"{tracker.base_url}/v3/myself", headers=headers)
    assert answer.status_code == status


def test_tracker_finds_an_issue_by_its_unique(
    client: httpx.Client, tracker: TrackerStandIn
) -> None:
    create(client, tracker, unique="u 1")
    client.headers = httpx.Headers({"Authorization": "OAuth secret", "X-Org-ID": "7"})
    issues = f"{tracker.base_url}/v2/issues"
    for unique, keys in (("u 1", ["DUTY-1"]), ("u2", [])):
        found = client.post(f"{issues}/_findByUnique", params={"unique": unique})
        assert found.status_code == (200 if keys else 404)
        listed = client.post(f"{issues}/_search", json={"filter": {"unique": unique}})
        assert [issue["key"] for issue in listed.json()] == keys
        assert listed.headers["X-Total-Count"] == str(len(keys))


@pytest.fixture
def issues(tracker: TrackerStandIn) -> Iterator[httpx.Client]:
    """A client of the issues, of which there is one: DUTY-1."""
    headers = {"Authorization": "OAuth secret", "X-Org-ID": "7"}
    with httpx.Client(
        base_url=f"{tracker.base_url}/v3/issues", headers=headers, trust_env=False
    ) as client:
        client.post("/", json={"summary": "Late", "queue": "DUTY", "unique": "u1"})
        yield client


def test_tracker_keeps_comments_and_lists_them_by_page(
    issues: httpx.Client, tracker: TrackerStandIn
) -> None:
    tracker.say("DUTY-1", "I look into it.")
    for text in ("He left.", "He is back."):
        assert issues.post("/DUTY-1/comments", json={"text": text}).status_code == 201
    first = issues.get("/DUTY-1/comments", params={"perPage": "2"})
    assert [comment["text"] for comment in first.json()] == ["I look into it.", "He left."]
    rest = issues.get(first.links["next"]["url"])
    assert [comment["text"] for comment in rest.json()] == ["He is back."]
    assert "next" not in rest.links
    assert issues.post("/DUTY-1/comments", json={"text": " "}).status_code == 422
    assert issues.post("/DUTY-2/comments", json={"text": "x"}).status_code == 404


def test_trackers_ledger_has_each_comment_and_each_transition(
    issues: httpx.Client, tracker: TrackerStandIn
) -> None:
    close = "/DUTY-1/transitions/close/_execute"
    tracker.script(RESET_AFTER, operation="comment")
    with pytest.raises(RESET):
        issues.post("/DUTY-1/comments", json={"text": "He left."})
    issues.get("/DUTY-1/comments")
    issues.post(close, json={"resolution": "fixed", "comment": "Over."})
    assert [(entry.call.operation, entry.changed) for entry in tracker.ledger[1:]] == [
        ("comment", Comment(1, "DUTY-1", "He left.")),
        ("comments", None),
        ("_execute", Move("DUTY-1", "close", "closed", "fixed", Comment(2, "DUTY-1", "Over."))),
    ]
    assert all(tracker.ticket_of(call) is tracker.tickets[0] for call in tracker.calls[1:])
    assert [comment.text for comment in tracker.comments] == ["He left.", "Over."]


def test_tracker_has_a_workflow(issues: httpx.Client, tracker: TrackerStandIn) -> None:
    def transitions() -> list[tuple[str, str]]:
        offered = issues.get("/DUTY-1/transitions").json()
        return [(transition["id"], transition["to"]["key"]) for transition in offered]

    def execute(transition: str, **body: str) -> int:
        return issues.post(f"/DUTY-1/transitions/{transition}/_execute", json=body).status_code

    assert transitions() == [("start", "inProgress"), ("close", "closed"), ("cancel", "cancelled")]
    assert execute("reopen") == 404
    assert execute("close") == 422
    assert execute("close", resolution="unknown") == 422
    assert issues.get("/DUTY-1").json()["status"]["key"] == "open"
    assert execute("start") == 200
    assert execute("close", resolution="fixed") == 200
    assert transitions() == [("reopen", "open")]
    found = issues.get("/DUTY-1").json()
    assert (found["status"]["key"], found["resolution"]["key"]) == ("closed", "fixed")
    statuses = issues.get(f"{tracker.base_url}/v3/statuses").json()
    assert {status["key"]: status["type"] for status in statuses} == tracker.statuses


def test_people_assign_and_delete_tickets(issues: httpx.Client, tracker: TrackerStandIn) -> None:
    assert "assignee" not in issues.get("/DUTY-1").json()
    tracker.assign("DUTY-1", "anna")
    assert issues.get("/DUTY-1").json()["assignee"]["id"] == "anna"
    tracker.assign("DUTY-1", None)
    assert "assignee" not in issues.get("/DUTY-1").json()
    tracker.delete("DUTY-1")
    assert issues.get("/DUTY-1").status_code == 404
    assert issues.post("/_findByUnique", params={"unique": "u1"}).status_code == 404
    assert create(issues, tracker, unique="u1").json()["key"] == "DUTY-2"
