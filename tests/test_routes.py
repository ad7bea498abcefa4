"""recipients_for: the recipients that the routes of the config in force name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import TestDatabase

ANNA = {"type": "telegram", "chat_id": 1}
BORIS = {"type": "telegram", "chat_id": 2}
CLARA = {"type": "telegram", "chat_id": 3}
DUTY = {"type": "st", "queue": "DUTY"}


def route(match: dict[str, Any], *recipients: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"match": match, "recipients": list(recipients), **more}


def named(
    database: TestDatabase,
    type: str = "timeout_in_point",
    job_type: str | None = None,
    attributes: dict[str, Any] | None = None,
) -> Any:
    """The recipients that the routes in force name."""
    return database.value(
        "select scooters_ops.recipients_for(%s, %s, %s)",
        type,
        job_type,
        json.dumps(attributes) if attributes is not None else None,
    )


def test_the_first_route_that_matches_decides(database: TestDatabase) -> None:
    database.apply_config(
        routes=[
            route({"type": "job_skipped"}, ANNA),
            route({"type": "timeout_in_point"}, BORIS),
            route({}, CLARA),
        ]
    )
    assert named(database, "job_skipped") == [ANNA]
    assert named(database, "timeout_in_point") == [BORIS]
    assert named(database, "timeout_between_points") == [CLARA]


def test_a_route_that_continues_adds_the_next_that_matches(database: TestDatabase) -> None:
    database.apply_config(
        routes=[
            route({"city": "Moscow"}, ANNA, **{"continue": True}),
            route({"type": "job_skipped"}, BORIS, **{"continue": True}),
            route({"zone": 7}, CLARA),
            route({}, DUTY),
        ]
    )
    assert named(database, "job_skipped", None, {"city": "Moscow"}) == [ANNA, BORIS, DUTY]
    assert named(database, "job_skipped", None, {"city": "Moscow", "zone": 7}) == [
        ANNA,
        BORIS,
        CLARA,
    ]
    assert named(database, "timeout_in_point", None, {"city": "Moscow"}) == [ANNA, DUTY]
    assert named(database) == [DUTY]


def test_a_route_that_continues_also_decides_if_it_is_the_last_to_match(
    database: TestDatabase,
) -> None:
    database.apply_config(routes=[route({}, ANNA, **{"continue": True})])
    assert named(database) == [ANNA]


def test_recipients_are_listed_in_the_order_of_the_routes(
    database: TestDatabase,
) -> None:
    database.apply_config(
        routes=[route({}, DUTY, CLARA, **{"continue": True}), route({}, BORIS, ANNA)]
    )
    assert named(database) == [DUTY, CLARA, BORIS, ANNA]


def test_a_recipient_that_is_named_twice_is_listed_once_at_its_first_place(
    database: TestDatabase,
) -> None:
    database.apply_config(
        routes=[route({}, BORIS, ANNA, BORIS, **{"continue": True}), route({}, ANNA, DUTY, BORIS)]
    )
    assert named(database) == [BORIS, ANNA, DUTY]


def test_one_chat_and_a_topic_of_it_are_two_recipients(database: TestDatabase) -> None:
    topic = {**ANNA, "message_thread_id": 5}
    database.apply_config(routes=[route({}, ANNA, topic)])
    assert named(database) == [ANNA, topic]


def test_a_route_without_recipients_mutes(database: TestDatabase) -> None:
    database.apply_config(routes=[route({"city": "Test"}), route({}, ANNA)])
    assert named(database, attributes={"city": "Test"}) == []
    assert named(database, attributes={"city": "Moscow"}) == [ANNA]


def test_if_no_route_matches_there_is_no_recipient(database: TestDatabase) -> None:
    database.apply_config(routes=[route({"type": "job_skipped"}, ANNA)])
    assert named(database) == []
    database.apply_config(routes=[])
    assert named(database) == []


def test_without_a_config_there_is_no_recipient(database: TestDatabase) -> None:
    database.connection.execute("delete from scooters_ops.configs")
    assert named(database) == []


def test_every_key_of_a_match_must_hold(database: TestDatabase) -> None:
    database.apply_config(
        routes=[route({"type": "job_skipped", "job_type": "pickup", "city": "Moscow"}, ANNA)]
    )
    assert named(database, "job_skipped", "pickup", {"city": "Moscow", "zone": 1}) == [ANNA]
    assert named(database, "timeout_in_point", "pickup", {"city": "Moscow"}) == []
    assert named(database, "job_skipped", "dropoff", {"city": "Moscow"}) == []
    assert named(database, "job_skipped", "pickup", {"city": "Kazan"}) == []
    assert named(database, "job_skipped", "pickup", {}) == []


@pytest.mark.parametrize(
    ("wanted", "attribute", "matches"),
    [
        ("Moscow", "Moscow", True),
        ("Moscow", "moscow", False),
        ("Moscow", None, False),
        (["Moscow", "Kazan"], "Kazan", True),
        (["Moscow", "Kazan"], "Tver", False),
        (7, 7, True),
        (7, 7.0, True),
        (7, "7", False),
        (1.5, 1.5, True),
        ([1, 2], 2, True),
        (True, True, True),
        (True, False, False),
        (False, False, True),
        (True, 1, False),
        (True, "true", False),
        ([True, "yes", 1], "yes", True),
        ([True, "yes", 1], 1, True),
        ("Moscow", ["Moscow"], False),
        (["Moscow"], ["Moscow"], False),
        ("Moscow", {"name": "Moscow"}, False),
    ],
)
def test_an_attribute_matches_the_value_or_one_of_the_list(
    database: TestDatabase, wanted: Any, attribute: Any, matches: bool
) -> None:
    database.apply_config(routes=[route({"place": wanted}, ANNA)])
    assert named(database, attributes={"place": attribute}) == ([ANNA] if matches else [])


def test_an_attribute_that_is_missing_matches_nothing(database: TestDatabase) -> None:
    database.apply_config(routes=[route({"city": "Moscow"}, ANNA)])
    assert named(database, attributes={}) == []
    assert named(database, attributes=None) == []


def test_job_type_matches_skipped_jobs_of_that_type_and_no_timeout(database: TestDatabase) -> None:
    database.apply_config(routes=[route({"job_type": ["pickup", "dropoff"]}, ANNA)])
    assert named(database, "job_skipped", "pickup") == [ANNA]
    assert named(database, "job_skipped", "battery_exchange") == []
    assert named(database, "timeout_in_point", None) == []


def test_an_attribute_named_type_does_not_replace_the_type_of_the_notification(
    database: TestDatabase,
) -> None:
    database.apply_config(routes=[route({"type": "job_skipped"}, ANNA)])
    assert named(database, "timeout_in_point", None, {"type": "job_skipped"}) == []
    database.apply_config(routes=[route({"job_type": "pickup"}, ANNA)])
    assert named(database, "timeout_in_point", None, {"job_type": "pickup"}) == []


def test_the_routes_of_the_repository(database: TestDatabase) -> None:
    duty = [{"type": "telegram", "chat_id": -1001}, DUTY]
    assert named(database, "job_skipped", "pickup", {"city": "Moscow"}) == duty
    assert named(database, "job_skipped", "pickup", {"city": "Kazan"}) == duty[:1]
    assert named(database, "timeout_in_point", None, {"city": "Moscow"}) == duty[:1]
