"""Yandex Tracker: what goes over the wire, and what each of its answers means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from notifier.channels.http import before_request
from notifier.channels.outcomes import (
    Earlier,
    Failed,
    Message,
    Misconfigured,
    Outcome,
    Retry,
    Sent,
)
from notifier.channels.tracker import UNIQUE_LIMIT, Tracker, unique_value
from notifier.channels.tracker_answers import COMMENTS_PER_PAGE
from notifier.channels.tracker_settings import TrackerRecipient, TrackerSettings
from sandbox.standins import (
    HALF_AN_ANSWER,
    RESET_AFTER,
    RESET_BEFORE,
    Fault,
    Move,
    Reply,
    Ticket,
    TrackerStandIn,
    json_reply,
    page,
)
from tests.channel_rigs import TOKEN, Rig, tracker


@pytest.fixture
def rig() -> Iterator[Rig]:
    with tracker() as rig:
        yield rig


def server(rig: Rig) -> TrackerStandIn:
    assert isinstance(rig.stand_in, TrackerStandIn)
    return rig.stand_in


def tickets(rig: Rig) -> list[Ticket]:
    return server(rig).tickets


def operations(rig: Rig) -> list[str]:
    return [call.operation for call in rig.stand_in.calls]


# --- On the wire -------------------------------------------------------------------------------


def test_an_issue_is_created_with_the_deliverys_key_as_its_unique(rig: Rig) -> None:
    assert rig.deliver() == Sent("DUTY-1")
    call = rig.stand_in.calls[0]
    assert (call.method, call.path) == ("POST", "/v3/issues/")
    assert call.headers["Content-Type"] == "application/json"
    assert call.headers["Authorization"] == f"OAuth {rig.secret}"
    assert call.headers["X-Org-ID"] is None
    assert call.headers["X-Cloud-Org-ID"] is None
    assert call.body == {
        "summary": "Late at a point",
        "queue": "DUTY",
        "description": "Who, where, since when",
        "unique": TOKEN,
    }


def test_the_config_chooses_the_version_of_the_api(rig: Rig) -> None:
    assert rig.deliver(api_version="v2") == Sent("DUTY-1")
    assert rig.stand_in.calls[0].path == "/v2/issues/"


def test_a_summary_is_one_line(rig: Rig) -> None:
    rig.deliver(parts={"summary": "\n  Late at\na point\n", "description": "a\nb\n"})
    assert tickets(rig)[0].summary == "Late at a point"
    assert tickets(rig)[0].description == "a\nb\n"


@pytest.mark.parametrize(
    ("setting", "header"), [("org_id_env", "X-Org-ID"), ("cloud_org_id_env", "X-Cloud-Org-ID")]
)
def test_each_kind_of_organization_is_named_by_its_own_header(
    monkeypatch: pytest.MonkeyPatch, setting: str, header: Any
) -> None:
    monkeypatch.setenv("TEST_ORG_ID", "7405124")
    with tracker(organization=(header, "7405124")) as rig:
        rig.settings[setting] = "TEST_ORG_ID"
        assert rig.deliver() == Sent("DUTY-1")
        rig.settings.clear()
        assert rig.deliver() == Failed(
            "HTTP 403: Organization is not available, not ready or not found"
        )


def test_an_iam_token_is_a_bearer_token() -> None:
    with tracker(scheme="Bearer") as rig:
        assert rig.deliver(auth="iam") == Sent("DUTY-1")


def test_both_organizations_at_once_are_refused(rig: Rig) -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        rig.channel(org_id_env="A", cloud_org_id_env="B")
    schema = TrackerSettings.model_json_schema()
    assert schema["not"] == {"required": ["org_id_env", "cloud_org_id_env"]}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("key", "value"), [("api_version", "v1"), ("auth", "basic"), ("org_id_env", "a-b")]
)
def test_bad_settings_are_refused_with_the_name_of_the_key(rig: Rig, key: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        rig.channel(**{key: value})
    assert [error["loc"] for error in caught.value.errors()] == [(key,)]


@pytest.mark.parametrize("queue", ["", "1A", "A B", "ДЕЖУРНЫЕ", "A-1", "A\n", 5, None])
def test_a_bad_queue_is_refused(queue: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TrackerRecipient.model_validate({"type": "st", "queue": queue})
    assert [error["loc"] for error in caught.value.errors()] == [("queue",)]


# --- unique ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [TOKEN, r"m\_1_p1_j1_job_skipped", "a b", "x" * UNIQUE_LIMIT, "1__" + "-".join("abcdef")],
)
def test_an_ordinary_token_is_used_as_unique_unchanged(token: str) -> None:
    assert unique_value(token) == token


LONG = "m" * UNIQUE_LIMIT + "_p1__timeout_in_point"


@pytest.mark.parametrize("token", [LONG, "миссия-7_p1__timeout_in_point", "m\n1_p1_j1_job_skipped"])
def test_any_other_token_gets_a_short_distinct_ascii_unique(token: str) -> None:
    unique = unique_value(token)
    assert re.fullmatch(r"[A-Za-z0-9_-]{64,125}", unique)
    assert unique == unique_value(token)
    assert unique != unique_value(token + "x")


def test_a_token_that_is_not_ascii_makes_one_issue(rig: Rig) -> None:
    assert rig.deliver(token="миссия_p1__timeout_in_point") == Sent("DUTY-1")
    assert rig.deliver(token="миссия_p1__timeout_in_point") == Sent("DUTY-1")
    assert len(tickets(rig)) == 1


# --- An issue that exists ----------------------------------------------------------------------


def test_a_repeated_notification_returns_the_key_of_the_first_issue(rig: Rig) -> None:
    assert rig.deliver() == Sent("DUTY-1")
    assert rig.deliver() == Sent("DUTY-1")
    assert operations(rig) == ["create", "create", "_findByUnique"]
    assert rig.stand_in.calls[-1].path == "/v3/issues/_findByUnique"
    assert rig.stand_in.calls[-1].query == {"unique": TOKEN}
    assert len(tickets(rig)) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500])
def test_where_find_by_unique_fails_tracker_is_searched(rig: Rig, status: int) -> None:
    rig.deliver()
    rig.stand_in.script(rig.stand_in.refusal(status, "no"), operation="_findByUnique")
    assert rig.deliver() == Sent("DUTY-1")
    assert operations(rig)[-2:] == ["_findByUnique", "_search"]
    assert rig.stand_in.calls[-1].body == {"filter": {"unique": TOKEN}}


def test_a_lagging_index_is_asked_again(rig: Rig) -> None:
    rig.deliver()
    rig.stand_in.script(rig.stand_in.refusal(404, "no"), operation="_findByUnique")
    rig.stand_in.script(Fault(reply=json_reply(200, [])), operation="_search")
    assert rig.deliver() == Sent("DUTY-1")


def test_an_issue_that_is_never_found_is_retried_later(rig: Rig) -> None:
    rig.stand_in.script(rig.stand_in.refusal(409, "exists"))
    outcome = rig.deliver()
    assert isinstance(outcome, Retry)
    assert operations(rig) == ["create", *["_findByUnique", "_search"] * 3]


def test_the_result_of_a_search_that_ignores_its_filter_is_not_used(rig: Rig) -> None:
    everything = Fault(reply=json_reply(200, [{"key": "DUTY-7"}, {"key": "DUTY-8"}]))
    rig.stand_in.script(rig.stand_in.refusal(409, "exists"))
    rig.stand_in.script(*[everything] * 3, operation="_search")
    assert isinstance(rig.deliver(), Retry)


@pytest.mark.parametrize(
    "reply", [HALF_AN_ANSWER, page(200, accepts=True), page(201, accepts=True)]
)
def test_an_issue_whose_creation_got_an_unreadable_answer_is_looked_up(
    rig: Rig, reply: Fault
) -> None:
    rig.stand_in.script(reply)
    assert rig.deliver() == Sent("DUTY-1")
    assert operations(rig) == ["create", "_findByUnique"]


def test_a_lookup_that_breaks_off_is_retried_later(rig: Rig) -> None:
    rig.deliver()
    rig.stand_in.script(RESET_BEFORE, operation="_findByUnique")
    assert isinstance(rig.deliver(), Retry)


def test_a_lookup_that_is_throttled_or_unauthorized_ends_with_that_refusal(rig: Rig) -> None:
    rig.deliver()
    rig.stand_in.script(
        rig.stand_in.refusal(429, "slow down", 9),
        rig.stand_in.refusal(401, "expired"),
        operation="_findByUnique",
    )
    outcome = rig.deliver()
    assert isinstance(outcome, Retry)
    assert outcome.delay is not None
    assert outcome.delay.total_seconds() == 9
    assert isinstance(rig.deliver(), Misconfigured)


# --- Refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 404, 412, 422, 423, 428])
def test_a_permanent_refusal_fails_at_once(rig: Rig, status: int) -> None:
    rig.stand_in.script(rig.stand_in.refusal(status, "Нет."))
    assert rig.deliver() == Failed(f"HTTP {status}: Нет.")
    assert operations(rig) == ["create"]


def test_an_unknown_queue_fails(rig: Rig) -> None:
    outcome = rig.deliver(target={"type": "st", "queue": "NOSUCH"})
    assert outcome == Failed("HTTP 404: Очередь не существует.")


def test_an_invalid_issue_fails_with_the_name_of_the_field(rig: Rig) -> None:
    outcome = rig.deliver(parts={"summary": "", "description": ""})
    assert outcome == Failed("HTTP 422: summary: Обязательное поле.")


def test_an_expired_token_stops_the_channel(rig: Rig) -> None:
    rig.stand_in.script(rig.stand_in.refusal(401, "IAM token has expired"))
    assert rig.deliver() == Misconfigured("HTTP 401: IAM token has expired")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            {"errorMessages": ["Один.", "Два."], "errors": {"queue": "Нет.", "type": ["a", "b"]}},
            "HTTP 400: Один.; Два.; queue: Нет.; type: ['a', 'b']",
        ),
        ({}, "HTTP 400"),
        ({"errorMessages": "text", "errors": "text"}, "HTTP 400"),
    ],
)
def test_the_error_body_becomes_one_line(rig: Rig, body: Any, reason: str) -> None:
    rig.stand_in.script(Fault(reply=json_reply(400, body)))
    assert rig.deliver() == Failed(reason)


# --- What follows: comments --------------------------------------------------------------------

RESOLVED = TOKEN + "_resolved"


def follow_up(
    rig: Rig,
    step: str = "resolved",
    key: str = RESOLVED,
    earlier: str | None = "DUTY-1",
    **settings: Any,
) -> Outcome:
    """Sends what follows the ticket `earlier`, which the alert with the key TOKEN created."""
    message = Message(
        key, rig.target, {"comment": "He left at 15:40.\n"}, step, Earlier(TOKEN, earlier, "DUTY")
    )

    async def once() -> Outcome:
        channel = rig.channel(**settings)
        try:
            return await channel.deliver(message)
        finally:
            await channel.aclose()

    return asyncio.run(once())


def comments(rig: Rig) -> list[str]:
    return [comment.text for comment in server(rig).comments]


def moves(rig: Rig) -> list[Move]:
    return server(rig).moves


@pytest.fixture
def told(rig: Rig) -> Rig:
    """The ticket DUTY-1 exists."""
    rig.deliver()
    rig.stand_in.calls.clear()
    return rig


@pytest.mark.parametrize("step", ["reminder", "acknowledged", "resolved"])
@pytest.mark.parametrize("on_resolved", ["comment", "nothing"])
def test_what_follows_is_a_comment_that_ends_with_the_deliverys_key(
    told: Rig, step: str, on_resolved: str
) -> None:
    assert follow_up(told, step, on_resolved=on_resolved) == Sent("DUTY-1")
    assert comments(told) == [f"He left at 15:40.\n\n`{RESOLVED}`"]
    assert operations(told) == ["comments", "comment"]
    assert [call.path for call in told.stand_in.calls] == ["/v3/issues/DUTY-1/comments"] * 2
    assert tickets(told)[0].status == "open"


@pytest.mark.parametrize("step", ["reminder", "acknowledged"])
def test_only_resolved_closes_a_ticket(told: Rig, step: str) -> None:
    assert follow_up(told, step, on_resolved="close") == Sent("DUTY-1")
    assert len(comments(told)) == 1
    assert tickets(told)[0].status == "open"


def test_a_comment_that_is_there_is_not_written_again(told: Rig) -> None:
    follow_up(told)
    server(told).say("DUTY-1", "Thank you.")
    assert follow_up(told) == Sent("DUTY-1")
    assert operations(told) == ["comments", "comment", "comments"]


def test_a_comment_of_another_delivery_is_another_one(told: Rig) -> None:
    server(told).say("DUTY-1", f"> {RESOLVED} is what I saw\n{RESOLVED}_too")
    for key in (RESOLVED + "_reminder_1", RESOLVED, TOKEN):
        assert follow_up(told, key=key) == Sent("DUTY-1")
    assert len(comments(told)) == 4


@pytest.mark.parametrize("key", ["миссия" + RESOLVED, "a `b`", "`", " a  b ", "x" * 999])
def test_a_comment_with_any_key_is_found_again(told: Rig, key: str) -> None:
    assert follow_up(told, key=key) == follow_up(told, key=key) == Sent("DUTY-1")
    assert len(comments(told)) == 1


@pytest.mark.parametrize("links_pages", [True, False])
def test_a_comment_is_found_among_many(told: Rig, links_pages: bool) -> None:
    server(told).links_pages = links_pages
    for number in range(COMMENTS_PER_PAGE):
        server(told).say("DUTY-1", f"Comment {number}")
    follow_up(told)
    for number in range(COMMENTS_PER_PAGE):
        server(told).say("DUTY-1", f"Comment {number}")
    told.stand_in.calls.clear()
    assert follow_up(told) == Sent("DUTY-1")
    assert operations(told) == ["comments", "comments"]
    assert follow_up(told, key="another") == Sent("DUTY-1")
    assert operations(told)[2:] == ["comments"] * 3 + ["comment"]


def test_pages_that_repeat_or_never_end_are_not_read_for_ever(
    told: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [{"id": number, "text": "Late"} for number in range(COMMENTS_PER_PAGE)]
    repeated = Fault(reply=json_reply(200, full))
    told.stand_in.script(repeated, repeated, operation="comments")
    assert follow_up(told) == Sent("DUTY-1")
    assert operations(told) == ["comments", "comments", "comment"]

    monkeypatch.setattr("notifier.channels.tracker.PAGES_LIMIT", 3)
    told.stand_in.script(
        *(
            Fault(reply=json_reply(200, [{"id": number}], {"Link": '<?id=1>; rel="next"'}))
            for number in range(3)
        ),
        operation="comments",
    )
    outcome = follow_up(told, key="another")
    assert isinstance(outcome, Failed)
    assert "too many comments" in outcome.reason


def test_a_link_to_the_next_page_never_takes_the_token_elsewhere(told: Rig) -> None:
    with tracker() as elsewhere:
        link = f'<{elsewhere.stand_in.base_url}/v3/myself?id=7&perPage=50>; rel="next"'
        reply = json_reply(200, [{"id": 7, "text": None}, 8], {"Link": link})
        told.stand_in.script(Fault(reply=reply), operation="comments")
        assert follow_up(told) == Sent("DUTY-1")
        assert elsewhere.stand_in.calls == []
    assert told.stand_in.calls[1].path == "/v3/issues/DUTY-1/comments"
    assert told.stand_in.calls[1].query == {"id": "7", "perPage": "50"}


UNCERTAIN = [RESET_AFTER, HALF_AN_ANSWER, page(200, accepts=True), page(502, accepts=True)]


@pytest.mark.parametrize("fault", UNCERTAIN, ids=lambda fault: fault.name)
def test_a_comment_in_doubt_is_looked_for_before_it_is_repeated(told: Rig, fault: Fault) -> None:
    told.stand_in.script(fault, operation="comment")
    assert isinstance(follow_up(told), Retry)
    assert follow_up(told) == Sent("DUTY-1")
    assert len(comments(told)) == 1


@pytest.mark.parametrize("operation", ["comments", "comment"])
@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_a_conflict_or_a_temporary_failure_of_a_comment_is_retried(
    told: Rig, operation: str, status: int
) -> None:
    told.stand_in.script(told.stand_in.refusal(status, "Нет."), operation=operation)
    assert follow_up(told) == Retry(f"HTTP {status}: Нет.")
    assert comments(told) == []


@pytest.mark.parametrize("operation", ["comments", "comment"])
@pytest.mark.parametrize("status", [403, 404, 422, 423])
def test_a_refused_comment_fails(told: Rig, operation: str, status: int) -> None:
    told.stand_in.script(told.stand_in.refusal(status, "Нет."), operation=operation)
    assert follow_up(told) == Failed(f"HTTP {status}: Нет.")


def test_a_token_that_expired_stops_the_channel_for_what_follows_too(told: Rig) -> None:
    told.stand_in.script(told.stand_in.refusal(401, "expired"), operation="comments")
    assert follow_up(told) == Misconfigured("HTTP 401: expired")


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'"text"', b"[" * 100_000])
@pytest.mark.parametrize("operation", ["comments", "issue", "statuses", "transitions"])
def test_nothing_is_written_after_an_answer_that_cannot_be_read(
    told: Rig, operation: str, body: bytes
) -> None:
    if operation == "issue":
        body = b"[]" if body == b"{}" else body
    reply = Reply(200, body, {"Content-Type": "application/json"})
    told.stand_in.script(Fault(reply=reply), operation=operation)
    assert follow_up(told, on_resolved="close") == Retry("HTTP 200: the answer is unreadable")
    assert comments(told) == []
    assert tickets(told)[0].status == "open"


@pytest.mark.parametrize("on_resolved", ["comment", "close"])
def test_a_ticket_that_was_deleted_gets_nothing(told: Rig, on_resolved: str) -> None:
    server(told).delete("DUTY-1")
    assert follow_up(told, on_resolved=on_resolved) == Failed("HTTP 404: Не найдено.")


def test_a_ticket_that_a_person_confirmed_is_found_by_the_alerts_key(told: Rig) -> None:
    assert follow_up(told, earlier=None) == Sent("DUTY-1")
    assert operations(told) == ["_findByUnique", "comments", "comment"]
    assert told.stand_in.calls[0].query == {"unique": TOKEN}


def test_a_confirmed_ticket_that_is_not_found_is_retried_later(told: Rig) -> None:
    server(told).delete("DUTY-1")
    assert follow_up(told, earlier=None) == Retry("Tracker does not find the issue by `unique`")
    told.stand_in.script(told.stand_in.refusal(401, "expired"), operation="_findByUnique")
    assert isinstance(follow_up(told, earlier=None), Misconfigured)


def test_a_tickets_key_is_quoted_in_a_path(told: Rig) -> None:
    odd = "DUTY-1/../../myself?a#b"
    assert isinstance(follow_up(told, earlier=odd), Failed)
    assert told.stand_in.calls[0].path == f"/v3/issues/{quote(odd, safe='')}/comments"


def test_every_request_of_what_follows_may_be_stopped(told: Rig) -> None:
    """A notifier that has lost its lease writes nothing more."""
    allowed = iter([True, False])

    def stop() -> None:
        if not next(allowed):
            raise InterruptedError

    before_request.set(stop)
    try:
        with pytest.raises(InterruptedError):
            follow_up(told)
    finally:
        before_request.set(None)
    assert operations(told) == ["comments"]
    assert comments(told) == []


# --- What follows: closing ---------------------------------------------------------------------


def close(rig: Rig, **settings: Any) -> Outcome:
    return follow_up(rig, on_resolved="close", **settings)


def test_resolved_closes_the_ticket_with_resolution_and_comment(told: Rig) -> None:
    assert close(told) == Sent("DUTY-1")
    (move,) = moves(told)
    assert (move.ticket, move.transition, move.resolution) == ("DUTY-1", "close", "fixed")
    assert comments(told) == [f"He left at 15:40.\n\n`{RESOLVED}`"]
    assert tickets(told)[0].status == "closed"
    assert operations(told) == ["comments", "issue", "statuses", "transitions", "_execute"]
    assert told.stand_in.calls[2].path == "/v3/statuses"
    assert told.stand_in.calls[4].path == "/v3/issues/DUTY-1/transitions/close/_execute"


def test_config_names_the_transition_and_the_resolution(told: Rig) -> None:
    settings = {"close_transition": "start", "close_resolution": "wontFix"}
    assert close(told, **settings) == Sent("DUTY-1")
    assert [(move.transition, move.resolution) for move in moves(told)] == [("start", "wontFix")]


@pytest.mark.parametrize("status", ["closed", "cancelled"])
def test_a_ticket_that_is_over_already_is_left_alone(told: Rig, status: str) -> None:
    server(told).move("DUTY-1", status)
    assert close(told, close_transition="reopen") == Sent("DUTY-1")
    assert (moves(told), comments(told)) == ([], [])


def test_a_ticket_that_somebody_is_assigned_to_gets_the_comment_alone(told: Rig) -> None:
    server(told).assign("DUTY-1")
    assert close(told) == close(told) == Sent("DUTY-1")
    assert (moves(told), len(comments(told))) == ([], 1)


def test_config_may_close_assigned_tickets_too(told: Rig) -> None:
    server(told).assign("DUTY-1")
    assert close(told, close_assigned=True) == Sent("DUTY-1")
    assert len(moves(told)) == 1


@pytest.mark.parametrize(
    ("transitions", "settings", "reason"),
    [
        (
            {"start": "inProgress", "cancel": "cancelled"},
            {},
            "set channels.st.close_transition: no transition leads to a status of type done; there"
            " are start, cancel",
        ),
        (
            {},
            {},
            "set channels.st.close_transition: no transition leads to a status of type done; there"
            " are none",
        ),
        (
            {"close": "closed", "resolve": "closed", "start": "inProgress"},
            {},
            "set channels.st.close_transition: several transitions lead to a status of type done:"
            " close, resolve",
        ),
        (
            {"start": "inProgress"},
            {"close_transition": "close"},
            "channels.st.close_transition names close, but the issue offers start",
        ),
    ],
)
def test_without_one_transition_that_closes_a_person_is_told_what_to_set(
    told: Rig, transitions: dict[str, str], settings: dict[str, str], reason: str
) -> None:
    server(told).workflow["open"] = transitions
    assert close(told, **settings) == Failed(reason)
    assert (moves(told), comments(told)) == ([], [])


def test_a_resolution_that_tracker_does_not_know_fails_with_its_name(told: Rig) -> None:
    outcome = close(told, close_resolution="done")
    assert outcome == Failed("HTTP 422: resolution: Резолюция не существует.")


@pytest.mark.parametrize("fault", UNCERTAIN, ids=lambda fault: fault.name)
@pytest.mark.parametrize("transition", [None, "start"])
def test_a_closing_in_doubt_is_not_repeated(
    told: Rig, fault: Fault, transition: str | None
) -> None:
    """Whether the status it leads to is of type done or not."""
    told.stand_in.script(fault, operation="_execute")
    assert isinstance(close(told, close_transition=transition), Retry)
    assert close(told, close_transition=transition) == Sent("DUTY-1")
    assert (len(moves(told)), len(comments(told))) == (1, 1)


def test_a_ticket_that_has_the_comment_but_is_open_is_closed_without_another(told: Rig) -> None:
    server(told).assign("DUTY-1")
    told.stand_in.script(RESET_AFTER, operation="comment")
    close(told)
    server(told).assign("DUTY-1", None)
    assert close(told) == Sent("DUTY-1")
    assert (len(moves(told)), len(comments(told))) == (1, 1)


def test_a_ticket_that_a_person_closes_at_the_same_time_is_a_success(told: Rig) -> None:
    told.stand_in.script(told.stand_in.refusal(404, "Переход не найден."), operation="_execute")
    assert close(told) == Retry("HTTP 404: Переход не найден.")
    server(told).move("DUTY-1", "closed")
    assert close(told) == Sent("DUTY-1")
    assert moves(told) == []


@pytest.mark.parametrize("operation", ["issue", "statuses", "transitions", "_execute"])
@pytest.mark.parametrize("status", [409, 429, 500, 423, 403])
def test_each_refusal_of_a_closing_is_retried_or_fails(
    told: Rig, operation: str, status: int
) -> None:
    told.stand_in.script(told.stand_in.refusal(status, "Нет."), operation=operation)
    kind = Failed if status in (403, 423) else Retry
    assert close(told) == kind(f"HTTP {status}: Нет.")
    assert (moves(told), comments(told)) == ([], [])
    assert close(told) == Sent("DUTY-1")
    assert (len(moves(told)), len(comments(told))) == (1, 1)


# --- Links -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reference", "link"),
    [
        ({}, "DUTY-1", "https://tracker.yandex.ru/DUTY-1"),
        (
            {"base_url": "https://api.tracker.yandex.net:443/"},
            "A-2",
            "https://tracker.yandex.ru/A-2",
        ),
        ({"web_url": "https://st.example.org/t/"}, "DUTY-1", "https://st.example.org/t/DUTY-1"),
        ({"web_url": "https://st.example.org"}, 'a"/?b', "https://st.example.org/a%22%2F%3Fb"),
        ({"base_url": "http://tracker.local"}, "DUTY-1", None),
        ({"base_url": "http://local", "web_url": "http://web"}, "DUTY-1", "http://web/DUTY-1"),
        ({}, None, None),
        ({}, "", None),
    ],
)
def test_a_ticket_has_a_page(
    settings: dict[str, str], reference: str | None, link: str | None
) -> None:
    given = {"base_url": "https://api.tracker.yandex.net", "token_env": "TOKEN", **settings}
    target = {"type": "st", "queue": "DUTY"}
    assert Tracker.link(TrackerSettings.model_validate(given), target, reference, None) == link
