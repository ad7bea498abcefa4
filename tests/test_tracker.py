"""Yandex Tracker: what goes over the wire, and what each of its answers means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from notifier.channels.outcomes import Failed, Misconfigured, Retry, Sent
from notifier.channels.tracker import UNIQUE_LIMIT, TrackerRecipient, TrackerSettings, unique_value
from sandbox.standins import (
    HALF_AN_ANSWER,
    RESET_BEFORE,
    Fault,
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


def tickets(rig: Rig) -> list[Ticket]:
    assert isinstance(rig.stand_in, TrackerStandIn)
    return rig.stand_in.tickets


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
