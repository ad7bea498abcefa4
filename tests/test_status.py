"""Advice and reports of `notifier status`: values in, text and JSON out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.database.values import Hold
from notifier.status.advice import advice
from notifier.status.report import document, text
from notifier.status.snapshot import (
    ConfigStatus,
    DeliveryStatus,
    DetectionStatus,
    InputStatus,
    NotifierStatus,
    RecipientStatus,
    Status,
)
from tests.conftest import CONFIG

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MISSING_AFTER = timedelta(seconds=65)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


QUIET = Status(
    in_force=ConfigStatus(NOW, 7, CONFIG, MISSING_AFTER),
    detection=DetectionStatus(
        True,
        ago(3),
        timedelta(seconds=0.25),
        5,
        1,
        False,
        last_pass_recorded=7,
        last_pass_judged=2,
        last_pass_resolved=4,
    ),
    deliveries=(),
    recipients=(),
    holds=(),
    notifiers=(NotifierStatus("n1", ago(900), ago(2), 7, "0006_operations", True, 0),),
)


def delivery(state: str = "pending", due: float = 0, **changes: Any) -> DeliveryStatus:
    """A delivery_status row that has been due for this many seconds."""
    row = DeliveryStatus("telegram", state, 1, ago(900), ago(due), None, False, False)
    return replace(row, **changes)


def recipient(address: str, state: str = "pending", age: float = 60) -> RecipientStatus:
    return RecipientStatus("telegram", address, state, 3, ago(age), ago(0), None, False)


PAUSE = Hold("telegram", None, ago(-40), "HTTP 401: Unauthorized", 3, False)
HELD_CHAT = Hold("telegram", "-1001", ago(-30), "HTTP 429: Too Many Requests", 0, False)


def test_what_the_database_refuses_to_a_live_notifier_needs_a_person() -> None:
    problem = "the database refuses to plan: permission denied (SQLSTATE 42501)"
    (healthy,) = QUIET.notifiers
    found = replace(QUIET, notifiers=(healthy, replace(healthy, name="n2", problem=problem)))
    lines = text(found).splitlines()
    assert lines[2:4] == [
        "  n1: seen 2 s ago, 0 leases",
        f"  n2: seen 2 s ago, 0 leases; {problem}",
    ]
    expected = f"A notifier works without some of its steps, because {problem}. Fix that."
    assert advice(found) == [expected]
    assert document(found)["notifiers"][1]["problem"] == problem
    dead = replace(healthy, problem=problem, is_alive=False)
    assert advice(replace(QUIET, notifiers=(healthy, dead))) == []


def test_a_quiet_system_needs_nobody_and_takes_few_lines() -> None:
    assert text(QUIET).splitlines() == [
        "Detection: last pass 3 s ago, 5 missions, 1 inserted, 7 intervals recorded, 2 judged,"
        " 4 resolved",
        "Notifiers: 1 alive",
        "  n1: seen 2 s ago, 0 leases",
        "Deliveries: nothing waits",
        "Nothing needs a person.",
    ]


def test_missions_that_wait_for_the_next_pass_are_shown_and_need_nobody() -> None:
    waiting = replace(QUIET, detection=replace(QUIET.detection, missions_waiting=12))
    assert text(waiting).splitlines()[0].endswith("; 12 missions wait for the next pass")
    assert document(waiting)["detection"]["missions_waiting"] == 12
    assert advice(waiting) == []


@pytest.mark.parametrize(
    ("missed", "named"),
    [(["m1"], "(m1, of 50"), (["m1", "m2", "m3", "m4"], "m3 and 1 more, of 50")],
)
def test_missions_that_passes_missed_need_a_person(missed: list[str], named: str) -> None:
    found = replace(QUIET, detection=replace(QUIET.detection, unrecorded_missions=missed))
    (line,) = advice(found)
    assert named in line
    assert "wake_missions()" in line
    assert line in text(found).splitlines()
    whole = document(found)
    assert whole["detection"]["unrecorded_missions"] == missed
    assert whole["is_person_needed"] is True


def test_a_database_without_a_pass_is_reported() -> None:
    detection = DetectionStatus(True, None, None, None, None, False)
    lines = text(replace(QUIET, detection=detection)).splitlines()
    assert lines[0] == "Detection: no pass yet"


def test_a_paused_channel_needs_a_person_and_a_held_chat_does_not() -> None:
    held = replace(QUIET, holds=(HELD_CHAT,))
    assert advice(held) == []
    assert "  telegram -1001, for 30 s: HTTP 429: Too Many Requests" in text(held).splitlines()

    paused = replace(QUIET, holds=(PAUSE, HELD_CHAT))
    assert len(advice(paused)) == 1
    assert "Channel telegram is paused because it refuses us: HTTP 401" in advice(paused)[0]
    assert "Paused: telegram, tried again in 40 s: HTTP 401: Unauthorized" in text(paused)


def test_a_chat_that_is_held_for_days_needs_a_person() -> None:
    """Its messages go out later by themselves, but until then nobody reads them."""
    long = replace(HELD_CHAT, held_until=ago(-3 * 86400), is_long=True)
    longer = replace(long, address="-1002", held_until=ago(-5 * 86400))
    (line,) = advice(replace(QUIET, holds=(HELD_CHAT, long)))
    assert "telegram -1001 asked to be left alone for 3 d: HTTP 429: Too Many Requests" in line
    (line,) = advice(replace(QUIET, holds=(long, HELD_CHAT, longer)))
    assert "telegram -1002 and 1 more asked to be left alone for 5 d" in line
    assert document(replace(QUIET, holds=(long,)))["holds"][0]["is_long"] is True


@pytest.mark.parametrize(
    ("row", "is_needed"),
    [
        (delivery(due=66), True),
        (delivery(due=64), False),
        (delivery("retrying", due=66), True),
        (delivery("retrying", due=-66), False),
        (delivery("sending", due=66), True),
        (delivery("unplanned", channel=None, next_attempt_at=None), True),
        (delivery("unplanned", next_attempt_at=None, oldest_created_at=ago(64)), False),
    ],
)
def test_something_due_without_a_live_notifier_needs_a_person(
    row: DeliveryStatus, is_needed: bool
) -> None:
    dead = replace(QUIET.notifiers[0], is_alive=False)
    for notifiers in ((), (dead,)):
        alone = replace(QUIET, deliveries=(row,), notifiers=notifiers)
        assert bool(advice(alone)) is is_needed
    assert advice(replace(QUIET, deliveries=(row,))) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"detection": replace(QUIET.detection, is_stalled=True)}, "Detection has stopped"),
        ({"input": InputStatus(ago(1260), timedelta(minutes=15), True)}, "21 min old"),
        (
            {"input": InputStatus(ago(1), timedelta(minutes=15), True, ("s1 at h1", "s2 at h2"))},
            "No events come to s1 at h1, s2 at h2, though",
        ),
        ({"in_force": ConfigStatus(NOW, None, None, None)}, "make config"),
        ({"in_force": ConfigStatus(NOW, 7, {}, MISSING_AFTER)}, "No notifier can use"),
        ({"deliveries": (delivery("failed"),)}, "notifier retry --failed"),
        ({"deliveries": (delivery("blocked", due=-9),)}, "they then go out by themselves"),
        (
            {"deliveries": (delivery("unrouted", channel=None, next_attempt_at=None),)},
            "add a route",
        ),
        ({"deliveries": (delivery("in_doubt"),)}, "notifier retry TOKEN --as-sent"),
        ({"deliveries": (delivery(is_stuck=True),)}, "Nobody takes what is due"),
    ],
)
def test_each_problem_comes_with_advice(changes: dict[str, Any], says: str) -> None:
    (line,) = advice(replace(QUIET, **changes))
    assert says in line
    assert text(replace(QUIET, **changes)).splitlines()[-1] == line


def test_the_session_that_blocks_passes_is_named() -> None:
    blocked = replace(QUIET.detection, is_stalled=True, lock_holder="pid 7, user alice")
    assert any("pid 7, user alice" in line for line in advice(replace(QUIET, detection=blocked)))
    waited_for = replace(
        QUIET.detection, lock_holder="pid 7, user alice", lock_waiters="pid 8, user bob"
    )
    assert "pid 8, user bob waits for pid 7, user alice" in text(
        replace(QUIET, detection=waited_for)
    )
    assert advice(replace(QUIET, detection=waited_for)) == []


def test_text_shows_the_worst_of_a_thousand_chats_and_json_all_of_them() -> None:
    chats = [recipient(str(-number), age=number) for number in range(1, 998)]
    crowd = replace(
        QUIET,
        deliveries=(delivery(recipients=10_000, is_lower_bound=True),),
        recipients=(
            recipient("-2001", "in_doubt", 5),
            *chats,
            recipient("-2002", "failed", 5),
            recipient("-2003", "failed", 50),
        ),
        holds=tuple(replace(HELD_CHAT, address=str(-number)) for number in range(1000)),
        notifiers=tuple(
            replace(QUIET.notifiers[0], name=f"n{number}", is_alive=number % 2 == 0)
            for number in range(1000)
        ),
    )
    lines = text(crowd).splitlines()
    assert len(lines) < 30
    start = lines.index("Recipients, the worst first:")
    assert lines[start + 1 : start + 7] == [
        "  telegram -2003: 3 failed, for 50 s",
        "  telegram -2002: 3 failed, for 5 s",
        "  telegram -2001: 3 in_doubt, for 5 s",
        "  telegram -997: 3 pending, for 16 min",
        "  telegram -996: 3 pending, for 16 min",
        "  and 995 more: notifier status --json",
    ]
    assert any(line.split()[:3] == ["telegram", "pending", "10000+"] for line in lines)
    whole = document(crowd)
    assert [len(whole[part]) for part in ("recipients", "holds", "notifiers")] == [1000] * 3


def test_json_has_durations_in_seconds_and_times_in_iso_8601() -> None:
    whole = document(replace(QUIET, recipients=(recipient("-1"),), holds=(PAUSE,)))
    assert whole["as_of"] == "2026-11-24T12:00:00+00:00"
    assert whole["detection"]["last_pass_elapsed_seconds"] == 0.25
    assert whole["notifiers"][0]["seen_age_seconds"] == 2
    assert whole["recipients"][0]["oldest_age_seconds"] == 60
    assert whole["recipients"][0]["oldest_created_at"] == "2026-11-24T11:59:00+00:00"
    assert whole["holds"][0]["held_for_seconds"] == 40
