"""The notification types, each with sample facts for `notifier preview`, `config check` and tests.

This is the one list of types in Python. The database has its own, the enum
scooters_ops.monitoring_notification_type, which also has TEST_TYPE; a test compares the two.

Sample facts have the shape that `notifier.templates` describes. Their times are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from notifier.steps import STEPS

_ARRIVED_AT: Final = datetime(2026, 11, 24, 11, 5, 10, tzinfo=UTC)
_A_WHILE: Final = timedelta(minutes=20)
_LATER_AT: Final = _ARRIVED_AT + timedelta(minutes=32)
_SET_OFF_AT: Final = datetime(2026, 11, 24, 10, 31, 48, tzinfo=UTC)

_COURIER_AND_PLACE: Final[Mapping[str, Any]] = {
    "mission_id": "m-20481",
    "performer_id": "c-317",
    "attributes": {"performer_name": "Ivan Petrov", "city": "Moscow", "zone": "North"},
    "point_id": "p-58",
    "point_position": 3,
    "points_total": 7,
    **dict.fromkeys(
        ("level", "resolution", "acknowledged_by", "acknowledged_at", "mission_url"), None
    ),
    **dict.fromkeys(("silenced_until", "silenced_by", "silenced_because"), None),
    "step": "alert",
    "told": [],
}

SAMPLE_FACTS: Final[Mapping[str, Mapping[str, Any]]] = {
    # The courier is still at the point when the timeout is detected.
    "timeout_in_point": {
        **_COURIER_AND_PLACE,
        "token": "m-20481_p-58__timeout_in_point",
        "type": "timeout_in_point",
        "job_id": None,
        "started_at": _ARRIVED_AT,
        "finished_at": None,
        "eta": timedelta(minutes=8),
        "factor": 1.5,
        "rule": None,
        "limit": timedelta(minutes=12),
        "elapsed": timedelta(minutes=12, seconds=7),
        "over": timedelta(seconds=7),
    },
    # The events arrived late: the interval had already ended when it was detected.
    "timeout_between_points": {
        **_COURIER_AND_PLACE,
        "token": "m-20481_p-58__timeout_between_points",
        "type": "timeout_between_points",
        "job_id": None,
        "started_at": _SET_OFF_AT,
        "finished_at": _ARRIVED_AT,
        "resolution": "moved_on",
        "eta": timedelta(minutes=15),
        "factor": 1.5,
        "rule": None,
        "limit": timedelta(minutes=22, seconds=30),
        "elapsed": _ARRIVED_AT - _SET_OFF_AT,
        "over": _ARRIVED_AT - _SET_OFF_AT - timedelta(minutes=22, seconds=30),
    },
    "job_skipped": {
        **_COURIER_AND_PLACE,
        "token": "m-20481_p-58_j-2_job_skipped",
        "type": "job_skipped",
        "job_id": "j-2",
        "job_type": "battery_exchange",
        "skipped_at": _ARRIVED_AT,
    },
}


SILENCED_FACTS: Final[Mapping[str, Any]] = {
    "silenced_until": _LATER_AT,
    "silenced_by": "ops",
    "silenced_because": "planned works",
}
"""Sample facts of an alert that a silence has held."""


def sample_facts(type: str, step: str) -> Mapping[str, Any]:
    """Sample facts of a step, one of steps_of(type)."""
    if type == TEST_TYPE:
        return TEST_FACTS
    if type == DIGEST_TYPE:
        is_over = step == "resolved"
        return {**DIGEST_FACTS, "step": step, **({"resolved": 299} if is_over else {})}
    facts = {**SAMPLE_FACTS[type], "step": step}
    is_timeout = "limit" in facts
    until = None  # when the interval ended, or until when a later alarm says that it has lasted
    match step:
        case "escalation":
            facts |= {"level": 2, "told": ["Telegram -1001", "DUTY-17"]}
            until = _LATER_AT
        case "reminder":
            facts |= {"level": 1}
            until = _LATER_AT
        case "acknowledged":
            facts |= {"acknowledged_by": "@olga", "acknowledged_at": _ARRIVED_AT + _A_WHILE}
        case "resolved":
            facts |= {"acknowledged_by": "@olga", "acknowledged_at": _ARRIVED_AT + _A_WHILE}
            until = _LATER_AT
    if not is_timeout or step == "alert":
        return facts
    facts |= {"resolution": None, "finished_at": None}
    if step == "resolved":
        facts |= {"resolution": "moved_on", "finished_at": until}
    if until is not None:
        elapsed = until - facts["started_at"]
        facts |= {"elapsed": elapsed, "over": elapsed - facts["limit"]}
    return facts


NOTIFICATION_TYPES: Final = tuple(SAMPLE_FACTS)
TEST_TYPE: Final = "test"
"""The type of the messages of `notifier test`: no route, report or metric knows it."""
TEST_FACTS: Final[Mapping[str, Any]] = {
    "token": "test__1f0c66a2-9b1e_test",
    "type": TEST_TYPE,
    "step": "alert",
    "asked_by": "galina",
    "asked_from": "duty-1",
    "asked_at": _ARRIVED_AT,
    "sent_by": "duty-2",
}
"""Sample facts of a test message; notifier.templates describes them."""
DIGEST_TYPE: Final = "digest"
"""What templates call a message that tells of many alerts. No notification is of this type."""
DIGEST_FACTS: Final[Mapping[str, Any]] = {
    "token": "m-20481_p-58__timeout_in_point",
    "type": DIGEST_TYPE,
    "step": "alert",
    "alerts": 300,
    "settled": 4,
    "resolved": 3,
    "silenced": 2,
    "since": _ARRIVED_AT,
    "types": [
        {"type": "timeout_between_points", "alerts": 180},
        {"type": "timeout_in_point", "alerts": 119},
        {"type": "job_skipped", "alerts": 1},
    ],
    "cities": [
        {"city": "Moscow", "alerts": 204},
        {"city": "Omsk", "alerts": 51},
        {"city": "Kazan", "alerts": 20},
        {"city": "Perm", "alerts": 9},
        {"city": "Tula", "alerts": 8},
    ],
    "elsewhere": 6,
    "without_city": 2,
    "worst": [
        {
            "type": "timeout_in_point",
            "mission_id": "m-20481",
            "point_id": "p-58",
            "performer_id": "c-317",
            "performer_name": "Ivan Petrov",
            "city": "Moscow",
            "over": timedelta(minutes=32),
        },
        {
            "type": "timeout_between_points",
            "mission_id": "m-20490",
            "point_id": "p-61",
            "performer_id": "c-118",
            "performer_name": None,
            "city": None,
            "over": timedelta(minutes=9, seconds=12),
        },
        {
            "type": "job_skipped",
            "mission_id": "m-20502",
            "point_id": "p-7",
            "performer_id": "c-204",
            "performer_name": "Anna Orlova",
            "city": "Omsk",
            "over": None,
        },
    ],
    "board_url": None,
}
"""Sample facts of a digest; notifier.templates describes them."""
TIMEOUT_TYPES: Final = tuple(type for type, facts in SAMPLE_FACTS.items() if "limit" in facts)
JOB_TYPES: Final = frozenset(type for type, facts in SAMPLE_FACTS.items() if "job_type" in facts)
"""The types whose routes may match on job_type."""


def steps_of(type: str) -> tuple[str, ...]:
    """The steps that a notification of this type can have. Only an interval resolves, nothing
    follows a test, and nothing but the outcome follows a digest."""
    if type == TEST_TYPE:
        return ("alert",)
    if type == DIGEST_TYPE:
        return ("alert", "resolved")
    return tuple(step for step in STEPS if step != "resolved" or type in TIMEOUT_TYPES)
