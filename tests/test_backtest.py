"""What another config would have told is what is told where it is in force from the start; of the
config that was in force it is what was told. Asking changes nothing and keeps nobody waiting.

Every run uses the same examples. HYPOTHESIS_SEED=<another number> makes others.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, note, seed, settings
from hypothesis import strategies as st

from notifier import cli
from sandbox.postgres import Postgres
from tests.conftest import TestDatabase, at, config, shared_database
from tests.reference import Config, Event, Mission
from tests.test_interval_properties import SEED, durations, plans, write
from tests.test_override_properties import (
    CLOCK_CHANGES,
    IN_A_DATABASE,
    attributes,
    configs_with_overrides,
    matches,
    performers,
    with_matches_as_json,
)

EXAMPLES = 12
WINDOW = timedelta(days=3)
DETAILS = "select * from scooters_ops.backtest_details(%s, %s, %s, %s)"

Group = tuple[Any, ...]


def backtest(
    database: TestDatabase, document: str, since: datetime, until: datetime
) -> dict[str, Counter[Group]]:
    """would and was: how many notifications, and how many messages, of each day, type, rule, city
    and route."""
    found: dict[str, Counter[Group]] = {"would": Counter(), "was": Counter()}
    for row in database.rows(DETAILS, document, since, until, "city"):
        assert not row["is_lower_bound"]
        group = tuple(row[name] for name in ("day", "type", "rule", "value", "route"))
        found["would"][*group, "notifications"] += row["would_tell"]
        found["would"][*group, "messages"] += row["would_send"]
        found["was"][*group, "notifications"] += row["told"]
        found["was"][*group, "messages"] += row["sent"]
    return {name: +counts for name, counts in found.items()}


# --- Any config, any missions ---------------------------------------------------------------------


@st.composite
def trips(draw: st.DrawFn) -> tuple[list[tuple[Mission, list[Event]]], datetime]:
    """Missions under way at once, whose couriers keep to the plan and whose events are in time."""
    base = draw(st.sampled_from(CLOCK_CHANGES))
    fleet = []
    for n in range(draw(st.integers(2, 5))):
        # Without skipped jobs, which would lead the courier elsewhere for a while.
        points = tuple(
            replace(point, jobs=tuple(replace(job, status="planned") for job in point.jobs))
            for point in draw(plans())
        )
        moment = base + draw(durations) * draw(st.integers(-10, 10))
        story = [Event("mission_started", None, moment)]
        for point in sorted(points, key=lambda point: point.position):
            for type in ("point_arrived", "point_completed"):
                moment += draw(durations) + timedelta(seconds=1)
                story.append(Event(type, point.point_id, moment))
        if draw(st.booleans()):
            moment += draw(durations) + timedelta(seconds=1)
            story.append(Event("mission_completed", None, moment))
        mission = Mission(
            f"m{n}", points, "created", draw(performers), draw(attributes | st.just({}))
        )
        fleet.append((mission, story[: draw(st.integers(1, len(story)))]))
    return fleet, base


routes = st.lists(
    st.tuples(
        matches(("timeout_in_point", "timeout_between_points")).map(
            lambda match: {key: value for key, value in match.items() if key != "at"}
        ),
        st.lists(st.integers(1, 3), max_size=3),
        st.booleans(),
    ),
    min_size=2,
    max_size=6,
)


def document_of(rules: Config, listed: list[tuple[Any, list[int], bool]]) -> str:
    document = json.loads(with_matches_as_json(rules, []))
    document["detection"]["notify_within_seconds"] = None
    document["routes"] = [
        {
            "match": match,
            "recipients": [{"type": "telegram", "chat_id": chat} for chat in chats],
            "continue": goes_on,
        }
        for match, chats, goes_on in listed
    ]
    return json.dumps(document)


def play(
    database: TestDatabase, fleet: list[tuple[Mission, list[Event]]], documents: list[str]
) -> None:
    """The missions as their events arrive, each followed by a pass, while these configs are in
    force one after the other."""
    script = sorted(
        (
            (event.occurred_at, mission.mission_id, event)
            for mission, story in fleet
            for event in story
        ),
        key=lambda step: step[:2],
    )
    write(database, [(mission, []) for mission, _ in fleet])
    for n, (moment, mission_id, event) in enumerate(script):
        if n in (0, len(script) // 2):
            database.value("select scooters_ops.apply_config(%s)", documents[n > 0])
        database.value(
            "select scooters_ops.record_event(%s, %s, %s, %s)",
            mission_id,
            event.type,
            event.point_id,
            moment,
        )
        database.value("select scooters_ops.detect_timeouts(%s)", moment)
    database.value("select scooters_ops.detect_timeouts(%s)", moment + timedelta(hours=5))
    database.value("select scooters_ops.plan_deliveries(1000)")


@pytest.mark.slow(seconds=15)
@seed(SEED)
@settings(IN_A_DATABASE, max_examples=EXAMPLES)
@given(
    moving=trips(),
    rules=st.tuples(configs_with_overrides(), configs_with_overrides(), configs_with_overrides()),
    listed=st.tuples(routes, routes),
    is_changed=st.booleans(),
)
def test_a_backtest_tells_what_is_told_where_the_config_was_in_force(
    database: TestDatabase,
    moving: tuple[list[tuple[Mission, list[Event]]], datetime],
    rules: tuple[Config, Config, Config],
    listed: tuple[list[Any], list[Any]],
    is_changed: bool,
) -> None:
    note(f"HYPOTHESIS_SEED={SEED}")
    fleet, base = moving
    window = (base - WINDOW, base + WINDOW)
    # Days are by the time zone of the config in force.
    zone = rules[0].calendars.default_zone
    in_force, other, before = (
        document_of(replace(each, calendars=replace(each.calendars, default_zone=zone)), routes)
        for each, routes in zip(rules, (*listed, listed[0]), strict=True)
    )
    with database.connection.transaction(force_rollback=True):
        play(database, fleet, [before if is_changed else in_force, in_force])
        own = backtest(database, in_force, *window)
        foretold = backtest(database, other, *window)
        if not is_changed:
            assert own["would"] == own["was"]
        assert own["was"].total() == database.value(
            "select (select count(*) from scooters_ops.notifications)"
            " + (select count(*) from scooters_ops.notification_recipients)"
        )
    with database.connection.transaction(force_rollback=True):
        play(database, fleet, [other, other])
        assert backtest(database, other, *window)["was"] == foretold["would"]
        assert Counter(
            (row["type"], row["rule"])
            for row in database.rows(
                "select type, details ->> 'rule' as rule from scooters_ops.notifications"
            )
        ) == sum_of(foretold["would"])


def sum_of(counts: Counter[Group]) -> Counter[tuple[str, str | None]]:
    """Notifications by type and rule."""
    total: Counter[tuple[str, str | None]] = Counter()
    for (_, type, rule, _, _, what), number in counts.items():
        if what == "notifications":
            total[type, rule] += number
    return total


# --- One question at a time -----------------------------------------------------------------------


def counts(database: TestDatabase, **changes: Any) -> Counter[tuple[str, str | None, str | None]]:
    """How many notifications this config would have told of, by type, rule and city."""
    rows = database.rows(DETAILS, json.dumps(config(**changes)), at(-60), at(600), "city")
    return +Counter({(row["type"], row["rule"], row["value"]): row["would_tell"] for row in rows})


def factor(number: float) -> dict[str, dict[str, float]]:
    return {"timeout_between_points": {"factor": number}}


def checksums(database: TestDatabase) -> dict[str, str]:
    tables = database.values(
        "select oid::regclass::text from pg_class"
        " where relnamespace = 'scooters_ops'::regnamespace and relkind in ('r', 'p')"
    )
    return {
        table: database.value(
            f"select md5(coalesce(string_agg(row::text, ',' order by row::text), ''))"
            f" from {table} as row"
        )
        for table in tables
    }


@pytest.fixture(scope="module")
def shared(cluster: Postgres) -> Iterator[TestDatabase]:
    with shared_database(cluster) as database:
        yield database


@pytest.fixture
def day(database: TestDatabase) -> TestDatabase:
    """Two missions that take 16 minutes to their first point, of a limit of 15, and stay there."""
    for mission_id, city in (("m1", "Omsk"), ("m2", "Tver")):
        database.create_mission(mission_id, attributes={"city": city}, jobs=2)
        database.record("mission_started", 0, mission_id=mission_id)
        database.detect(1)
        database.record("point_arrived", 16, "p1", mission_id)
        database.detect(17)
        database.record("point_completed", 25, "p1", mission_id)
        database.detect(25)
    return database


BETWEEN, IN_POINT = "timeout_between_points", "timeout_in_point"


def test_the_first_override_that_holds_decides_and_what_is_disabled_tells_nothing(
    day: TestDatabase,
) -> None:
    told = Counter({(BETWEEN, None, "Omsk"): 1, (BETWEEN, None, "Tver"): 1})
    assert counts(day) == told
    two = [
        {"name": "first", "match": {"city": "Omsk"}, "timeouts": factor(1.2)},
        {"name": "second", "match": {"type": BETWEEN}, "timeouts": factor(3)},
    ]
    assert counts(day, detection__overrides=two) == {(BETWEEN, "first", "Omsk"): 1}
    assert counts(day, detection__overrides=two[::-1]) == {}
    # Two jobs of 5 minutes each, of which 9 minutes are not too long; of 2 minutes they are.
    assert counts(day, detection__job_eta_seconds={"battery_exchange": 120}) == told | Counter(
        {(IN_POINT, None, "Omsk"): 1, (IN_POINT, None, "Tver"): 1}
    )
    assert counts(day, detection__timeouts__timeout_between_points__enabled=False) == {}
    assert counts(day, detection__enabled=False) == {}


def test_exactly_at_the_limit_is_in_time_and_what_was_known_too_late_is_no_news(
    day: TestDatabase,
) -> None:
    both = {(BETWEEN, None, "Omsk"): 1, (BETWEEN, None, "Tver"): 1}
    assert counts(day, **between_points(1.59)) == both
    assert counts(day, **between_points(1.6)) == {}
    # Its limit would have passed 3 minutes before the pass that saw the end.
    assert counts(day, **between_points(1.4), detection__notify_within_seconds=600) == both
    assert counts(day, **between_points(1.4), detection__notify_within_seconds=60) == {}


def test_skips_and_withdrawn_notifications_count_as_told(day: TestDatabase) -> None:
    day.value("select scooters_ops.skip_job('m1', 'p2', 'j1')")
    rows = day.rows(
        "select type, rule, would_tell, told from scooters_ops.backtest("
        "%s, now() - interval '1 h', now() + interval '1 h')",
        json.dumps(config(detection__enabled=False)),
    )
    assert rows == [{"type": "job_skipped", "rule": None, "would_tell": 1, "told": 1}]
    # The completion of a point was a mistake: the interval is gone, and was told.
    day.detect(41)
    told = counts(day)
    assert told[BETWEEN, None, "Omsk"] == 2
    day.connection.execute(
        "delete from scooters_ops.missions_history where mission_id = 'm1'"
        " and type = 'point_completed'"
    )
    day.value("select scooters_ops.wake_missions(array['m1'])")
    day.detect(41)
    assert "withdrawn" in day.values("select resolution from scooters_ops.notifications")
    assert counts(day)[BETWEEN, None, "Omsk"] == 2
    assert counts(day, **between_points(1.55))[BETWEEN, None, "Omsk"] == 2
    assert counts(day, **between_points(9))[BETWEEN, None, "Omsk"] == 0


def between_points(number: float) -> dict[str, Any]:
    return {"detection__timeouts__timeout_between_points__factor": number}


def test_what_was_over_when_it_was_taken_away_counts_as_told(day: TestDatabase) -> None:
    told = counts(day)
    day.connection.execute("delete from scooters_ops.missions_history where mission_id = 'm1'")
    day.detect(26)
    assert counts(day) == told


def test_it_says_where_it_is_a_lower_bound(day: TestDatabase) -> None:
    day.connection.execute("delete from scooters_ops.missions where mission_id = 'm1'")
    trial = json.dumps(
        config(
            detection__overrides=[{"name": "x", "match": {"city": "Omsk"}, "timeouts": factor(1.2)}]
        )
    )
    bounds = {row["is_lower_bound"] for row in day.rows(DETAILS, trial, at(-60), at(600), None)}
    assert True in bounds
    notices: list[str | None] = []
    day.connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    day.rows("select * from scooters_ops.backtest(%s, %s, %s)", trial, at(-1), at(600))
    day.connection.execute("update scooters_ops.news_horizon set recorded_since = %s", [at(5)])
    day.rows("select * from scooters_ops.backtest(%s, %s, %s)", trial, at(-1), at(600))
    assert [str(notice).partition(":")[0] for notice in notices] == ["a lower bound"] * 4
    assert "no interval that started before" in str(notices[0])
    assert "may have been pruned" in str(notices[2])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("{}", at(0), at(1)), ""),
        (
            (
                json.dumps(config(routes=[{"match": {"at": "noon"}, "recipients": []}])),
                at(0),
                at(1),
            ),
            "routes[0].match.at",
        ),
        (
            (json.dumps(config(notifier__time_zone="Mars/Olympus")), at(0), at(1)),
            "notifier.time_zone",
        ),
        ((json.dumps(config()), None, at(1)), "since"),
        ((json.dumps(config()), at(0), None), "until"),
        ((json.dumps(config()), at(0), "infinity"), "until"),
        ((json.dumps(config()), at(1), at(0)), "until"),
    ],
)
def test_a_bad_config_and_a_bad_window_are_refused(
    shared: TestDatabase, arguments: tuple[Any, ...], problem: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"^{re.escape(problem)}"):
        shared.rows("select * from scooters_ops.backtest(%s, %s, %s)", *arguments)


def test_the_command_sums_by_what_it_is_asked_for(
    day: TestDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config(**between_points(1.55))))
    for name, value in day.environment.items():
        monkeypatch.setenv(name, value)

    def run(*options: str) -> tuple[int, str, str]:
        window = ("--since", at(0).isoformat(), "--until", at(60).isoformat())
        code = cli.main(["backtest", str(file), *window, *options])
        return code, *capsys.readouterr()

    code, out, notes = run("--by", "city", "--by", "route", "--output", "csv")
    assert (code, notes) == (0, "")
    assert out == (
        "value,route,would_tell,told,would_send,sent,is_lower_bound\n"
        "Omsk,routes[1],1,1,1,0,false\n"
        "Tver,routes[1],1,1,1,0,false\n"
    )
    code, out, notes = run("--output", "json")
    assert json.loads(out) == [
        {
            "day": str(at(0).date()),
            "type": BETWEEN,
            "rule": None,
            "would_tell": 2,
            "told": 2,
            "would_send": 2,
            "sent": 0,
            "is_lower_bound": False,
        }
    ]
    assert run("--by", "city", "--by", "zone")[0] == 2
    code, out, notes = run("--since", at(-9000).isoformat())
    assert "no interval that started before" in notes
    file.write_text(json.dumps(config(detection__enabled="often")))
    code, out, notes = run()
    assert (code, out) == (2, "")
    assert notes.startswith("notifier: detection.enabled")


def test_it_changes_nothing_and_keeps_nobody_waiting(day: TestDatabase) -> None:
    before = checksums(day)
    with day.connect(role="scooters_ops_analyst") as analyst, day.connect() as other:
        analyst.autocommit = False
        analyst.execute("set transaction read only")
        trial = json.dumps(config(detection__timeouts=factor_of_both(1.1)))
        assert analyst.execute(DETAILS, (trial, at(-60), at(600), "city")).fetchall()
        assert analyst.execute(
            "select * from scooters_ops.backtest(%s, %s, %s)", (trial, at(-60), at(600))
        ).fetchall()
        assert checksums(day) == before
        # The analyst's transaction is still open.
        other.execute("set lock_timeout = '10s'")
        other.execute("select scooters_ops.apply_config(%s)", (trial,))
        other.execute("select scooters_ops.detect_timeouts(%s)", (at(60),))
        other.execute("select scooters_ops.silence('{\"city\": \"Omsk\"}', '1 h', 'why', 'ops')")
        other.execute("select scooters_ops.plan_deliveries(10)")
        analyst.rollback()
    assert checksums(day) != before


def factor_of_both(number: float) -> dict[str, Any]:
    rule = {"enabled": True, "factor": number, "minimum_seconds": 0}
    return {BETWEEN: rule, IN_POINT: rule}
