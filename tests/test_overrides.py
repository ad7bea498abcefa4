"""Which rule decides about an interval, as of when, and where it is named. That the SQL agrees with
a reference: test_override_properties.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from notifier.database.values import Notification
from tests.board_rigs import serving
from tests.conftest import TestDatabase, at
from tests.test_templates import RENDERERS, TELEGRAM, read_as_telegram

OMSK = {
    "name": "omsk-winter <2>",
    "match": {"city": "Omsk"},
    "timeouts": {"timeout_in_point": {"factor": 2, "minimum_seconds": 1200}},
}
NOVICE = {
    "name": "novice",
    "match": {"performer_id": "c7"},
    "timeouts": {"timeout_in_point": {"factor": 10}},
}
DEFAULT_LIMIT = timedelta(minutes=7.5)


def arrived(database: TestDatabase, mission_id: str = "m1", **attributes: Any) -> None:
    """A courier is at p1 since noon; the job there takes five minutes."""
    database.create_mission(mission_id, 2, attributes=attributes)
    database.record("point_arrived", 0, "p1", mission_id)


def recorded(database: TestDatabase) -> list[tuple[Any, ...]]:
    """Rule, limit and deadline of each recorded interval."""
    return [
        (row["rule"], row["time_limit"], row["deadline"])
        for row in database.rows(
            "select rule, time_limit, deadline from scooters_ops.interval_history"
            " order by started_at"
        )
    ]


def test_the_override_that_decided_is_named_beside_each_limit(database: TestDatabase) -> None:
    database.apply_config(detection__overrides=[NOVICE, OMSK])
    arrived(database, city="Omsk")
    arrived(database, "m2", city="Kazan")
    assert database.detect(20) == 1
    assert database.detect(21) == 1
    for view in ("mission_intervals", "mission_timeouts", "interval_history"):
        assert database.rows(
            f"select mission_id, rule from scooters_ops.{view} order by mission_id"
        ) == [
            {"mission_id": "m1", "rule": "omsk-winter <2>"},
            {"mission_id": "m2", "rule": None},
        ]
    told = {
        row["mission_id"]: Notification(**row)
        for row in database.rows(
            "select idempotency_token, type::text, mission_id, point_id, job_id, details"
            " from scooters_ops.notifications"
        )
    }
    assert told["m1"].details["rule"] == "omsk-winter <2>"
    assert told["m2"].details["rule"] is None
    assert told["m1"].details["minimum_seconds"] == 1200
    # An earlier version did not store it.
    del told["m2"].details["rule"]  # type: ignore[attr-defined]
    for mission_id, said in (
        ("m1", "Limit: 20 min, omsk-winter <2> (the minimum; planned 5 min × 2 is less)\n"),
        ("m2", "Limit: 7 min 30 s (planned 5 min × 1.5)\n"),
    ):
        facts = {**told[mission_id].facts(), "mission_url": None}
        (html,) = RENDERERS["en"].render("timeout_in_point", TELEGRAM, facts).values()
        assert said in read_as_telegram(html)
    with serving(database) as served:
        board = httpx.get(f"{served.url}/board?lang=en").text
        assert board.count("<bdi>omsk-winter &lt;2&gt;</bdi>") == 1
        page = httpx.get(f"{served.url}/board/missions/m1?lang=en").text
        # In the table, in what was reported, and twice where the page says why.
        assert page.count("<bdi>omsk-winter &lt;2&gt;</bdi>") == 4
        assert "but at least 20 min (<bdi>omsk-winter &lt;2&gt;</bdi>)." in page
        assert "omsk" not in httpx.get(f"{served.url}/board/missions/m2?lang=en").text


def test_an_open_interval_follows_its_mission_and_a_closed_one_keeps_its_rule(
    database: TestDatabase,
) -> None:
    """Also if another courier takes the mission over: the mission's courier of today counts."""
    database.apply_config(detection__overrides=[NOVICE, OMSK])
    arrived(database)
    by_default = (None, DEFAULT_LIMIT, at(7.5))
    by_omsk = ("omsk-winter <2>", timedelta(minutes=20), at(20))
    by_novice = ("novice", timedelta(minutes=50), at(50))
    for change, expected in (
        ("status = status", by_default),
        ("""attributes = '{"city": "Omsk"}'""", by_omsk),
        ("performer_id = 'c7'", by_novice),
        ("""performer_id = 'c1', attributes = '{"city": "Omsk"}'""", by_omsk),
    ):
        database.connection.execute(f"update scooters_ops.missions set {change}".encode())
        assert database.detect(7) == 0
        assert recorded(database) == [expected]
    database.record("point_completed", 15, "p1")
    assert database.detect(16) == 0
    database.connection.execute("update scooters_ops.missions set attributes = '{}'")
    database.apply_config(detection__overrides=[])
    assert database.detect(17) == 0
    assert recorded(database) == [by_omsk, (None, timedelta(minutes=15), at(30))]
    assert database.detect(31) == 1


def test_the_calendar_of_the_start_counts_however_long_it_lasts(database: TestDatabase) -> None:
    """Of the zone that the mission names, or of the default's if nobody knows it."""
    lunch = {
        "name": "lunch",
        "match": {"at": "lunch"},
        "timeouts": {"timeout_in_point": {"factor": 10}},
    }
    calendar = {"from": "15:00", "to": "15:01", "time_zone": {"attribute": "zone"}}
    database.apply_config(
        calendars={"lunch": calendar},
        notifier__time_zone="UTC",
        detection__overrides=[lunch],
    )
    # Noon in UTC is three in Moscow.
    for mission_id, zone in (
        ("m1", "Europe/Moscow"),
        ("m2", "EUROPE/moscow"),
        ("m3", "Mars/Olympus"),
        ("m4", None),
        ("m5", ["Europe/Moscow"]),
        ("m6", {"a": 1e300}),
    ):
        arrived(database, mission_id, zone=zone)
    assert database.detect(45) == 4
    by_lunch = database.values(
        "select mission_id from scooters_ops.interval_history where rule = 'lunch' order by 1"
    )
    assert by_lunch == ["m1", "m2"]
    # PostgreSQL takes CET for an abbreviation, which has no summer time.
    offered = "select name from scooters_ops.known_time_zones where name in ('cet', 'utc')"
    assert database.values(offered) == ["utc"]
    assert database.detect(51) == 2
    calendar["time_zone"] = "Europe/Moscow"
    database.apply_config(
        calendars={"lunch": calendar}, notifier__time_zone="UTC", detection__overrides=[lunch]
    )
    database.detect(52)
    assert set(database.values("select rule from scooters_ops.interval_history")) == {"lunch"}
