"""When nobody's events come while missions are active, somebody looks at the mission service."""

from __future__ import annotations

import json

import httpx
import pytest

from notifier.cli import main
from tests.board_rigs import serving, travel
from tests.conftest import TestDatabase, at

ON = {"detection__silent_input_after_seconds": 900}


def is_silent(database: TestDatabase, minutes: float) -> bool:
    status = database.rows("select * from scooters_ops.input_status(%s)", at(minutes))
    assert len(status) == 1
    return bool(status[0]["is_silent"])


def newest(database: TestDatabase, minutes: float) -> object:
    return database.value("select newest_event_at from scooters_ops.input_status(%s)", at(minutes))


def test_silence_begins_after_the_newest_event_of_anybody_and_ends_with_the_next(
    database: TestDatabase,
) -> None:
    database.create_mission("m1")
    database.create_mission("m2")
    database.record("mission_started", 0)
    database.record("mission_started", 0, mission_id="m2")
    database.detect(1)
    assert not is_silent(database, 600)  # off: nobody asked for it
    database.apply_config(**ON)
    assert not is_silent(database, 15)
    assert is_silent(database, 15.1)
    # Any type of event is a sign of life.
    database.record("battery_low", 14, mission_id="m2")
    assert not is_silent(database, 29)
    assert is_silent(database, 29.1)
    # A phone that was offline hides no sign of life by its old events, and is none itself.
    for minutes in range(100):
        database.record("ping", minutes / 10)
    assert not is_silent(database, 29)
    assert is_silent(database, 29.1)
    # A clock that is ahead hides nothing before its time has come.
    database.record("ping", 60)
    assert is_silent(database, 59)
    assert not is_silent(database, 60)
    assert newest(database, 59) == at(14)
    assert newest(database, 60) == at(60)
    database.apply_config(**ON, detection__enabled=False)
    assert not is_silent(database, 120)
    database.apply_config(**ON)
    assert is_silent(database, 120)
    # All missions are over: a quiet night.
    database.record("mission_completed", 61)
    database.record("mission_cancelled", 61, mission_id="m2")
    database.detect(62)
    assert not is_silent(database, 600)


def test_a_quiet_night_and_its_morning_are_no_silence(database: TestDatabase) -> None:
    database.apply_config(**ON)
    assert newest(database, 0) is None
    database.create_mission("m1")
    assert not is_silent(database, 600)  # no event ever
    database.record("mission_started", 0)
    database.detect(1)
    database.record("mission_completed", 2)
    database.detect(3)
    # What was planned for the morning has not started.
    database.create_mission("m2")
    assert not is_silent(database, 600)
    database.connection.execute(
        "update scooters_ops.missions set status = 'active' where mission_id = 'm2'"
    )
    database.detect(600)
    assert not is_silent(database, 600)
    # The first event of the day, before and after a pass has seen it.
    database.record("mission_started", 600, mission_id="m2")
    assert not is_silent(database, 600.1)
    database.detect(600.1)
    assert not is_silent(database, 615)
    assert is_silent(database, 615.1)


def test_an_abandoned_mission_does_not_raise_the_alarm_every_night(
    database: TestDatabase,
) -> None:
    database.apply_config(**ON, detection__notify_within_seconds=86400)
    day = 24 * 60
    for mission_id in ("m1", "m2"):
        database.create_mission(mission_id)
    database.record("mission_started", 0)
    database.record("mission_started", day - 60, mission_id="m2")
    database.detect(day - 59)
    assert is_silent(database, day)
    # However long it lasts.
    assert is_silent(database, 9 * day)
    database.record("mission_completed", day + 60, mission_id="m2")
    database.detect(day + 61)
    assert not is_silent(database, 2 * day)


def test_only_the_last_thousand_events_count(database: TestDatabase) -> None:
    database.apply_config(**ON)
    database.create_mission("m1")
    database.record("mission_started", 0)
    database.connection.execute(
        "insert into scooters_ops.missions_history (mission_id, type, occurred_at)"
        " select 'm1', 'ping', %s::timestamptz - interval '1 s' * n"
        " from generate_series(1, 1000) as n",
        (at(-10),),
    )
    assert newest(database, 5) == at(-10) - (at(1) - at(0)) / 60


def test_status_metrics_and_the_board_say_so_until_the_next_event(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.conninfo)
    database.apply_config(detection__silent_input_after_seconds=300)
    metrics = (
        "select jsonb_object_agg(name, value) from scooters_ops.metrics"
        " where name in ('newest_event_age_seconds', 'input_silent')"
    )
    assert database.value(metrics) == {"input_silent": 0}
    travel(database, "m1", ("start", 8))
    database.value("select scooters_ops.detect_timeouts()")

    found = database.value(metrics)
    assert found["input_silent"] == 1
    assert 480 <= found["newest_event_age_seconds"] < 600
    assert main(["status"]) == 1
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("No events come, though missions are active: the newest is 8 min old.")
    assert main(["status", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["input"]
    assert 480 <= told.pop("newest_event_age_seconds") < 600
    assert database.value(
        "select %s = newest_event_at from scooters_ops.input_status", told.pop("newest_event_at")
    )
    assert told == {"silent_after_seconds": 300, "is_silent": True, "silent_shards": []}
    with serving(database, refresh_seconds=0.01) as board:
        for language, says in (("en", "No events come."), ("ru", "События не приходят.")):
            page = httpx.get(f"{board.url}/board?lang={language}").text
            (alarm,) = [
                part for part in page.split("<p ") if part.startswith('class="alarm" role="alert"')
            ]
            assert f"<strong>{says}</strong>" in alarm

        database.value("select scooters_ops.record_event('m1', 'battery_low')")
        database.value("select scooters_ops.detect_timeouts()")
        assert database.value(metrics)["input_silent"] == 0
        assert main(["status"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "Nothing needs a person."
        page = httpx.get(f"{board.url}/board?lang=en").text
        assert "No events come" not in page
