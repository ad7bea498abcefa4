"""Silences: what they hold waits for their end, and nothing is lost or told twice."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import httpx
import psycopg
import pytest

from notifier.silences import duration_of, match_of, words_of
from sandbox.postgres import Postgres
from tests.board_rigs import serving
from tests.conftest import TestDatabase, shared_database, until
from tests.delivery_rigs import OTHER_GROUP, TELEGRAM, TICKET, House
from tests.http_rigs import http_process, http_user, is_problem

BOSS = {"type": "telegram", "chat_id": OTHER_GROUP}
MOSCOW = {"city": "Moscow"}
PLACE = "select scooters_ops.silence(%s, %s::interval, %s, %s)"
END = "select scooters_ops.unsilence(%s, 'olga')"
PLAN = "select scooters_ops.plan_deliveries(1000)"


def silence(
    database: TestDatabase,
    match: Any = MOSCOW,
    duration: str = "2 hours",
    comment: str = "works",
    by: str = "ops",
) -> int:
    return int(database.value(PLACE, json.dumps(match), duration, comment, by))


def pass_hours(database: TestDatabase, hours: float) -> None:
    """Moves silences and what they held back in time, as if so many hours had passed."""
    past = timedelta(hours=hours)
    database.connection.execute(
        "update scooters_ops.silences"
        " set starts_at = starts_at - %(past)s, ends_at = ends_at - %(past)s",
        {"past": past},
    )
    database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = next_attempt_at - %(past)s, created_at = created_at - %(past)s"
        " where silence_id is not null",
        {"past": past},
    )
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set created_at = created_at - %(past)s",
        {"past": past},
    )


def steps(database: TestDatabase) -> list[tuple[str, str, float | None]]:
    """Step, state and, in minutes from now, when each is due."""
    return [
        (row["step"], row["state"], row["minutes"])
        for row in database.rows(
            "select step, state, round(extract(epoch from next_attempt_at - now()) / 60)::float"
            " as minutes from scooters_ops.notification_steps order by recipient_id"
        )
    ]


def states(database: TestDatabase) -> list[str]:
    return [state for _, state, _ in steps(database)]


def held(database: TestDatabase) -> dict[int, tuple[bool, int, int]]:
    return {
        row["silence_id"]: (row["is_active"], row["alerts_held"], row["alerts_total"])
        for row in database.rows("select * from scooters_ops.silence_status")
    }


def late(database: TestDatabase) -> None:
    """A courier who has been at p1 for 8 minutes, half a minute too long, and is reported."""
    database.create_mission(attributes=MOSCOW)
    database.record("point_arrived", 0, "p1")
    assert database.detect(8) == 1


def leaves(database: TestDatabase) -> None:
    """He leaves p1, and a pass sees it."""
    database.record("point_completed", 32, "p1")
    database.detect(33)


# --- What is held ---------------------------------------------------------------------------------


def test_an_alert_goes_out_once_the_silence_ends_and_says_so(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM, TICKET, notifier__stuck_after_seconds=0.001)
    silence_id = silence(database, comment="planned works")
    token = house.skip()
    house.skip("m2", city="Omsk")
    house.run_once()
    assert [message.text.count("Omsk") for message in house.telegram.messages] == [1]
    assert states(database) == ["silenced", "silenced", "sent", "sent"]
    assert held(database) == {silence_id: (True, 2, 2)}
    assert database.rows(
        "select channel, recipients, is_stuck from scooters_ops.delivery_status order by 1"
    ) == [
        {"channel": "st", "recipients": 1, "is_stuck": False},
        {"channel": "telegram", "recipients": 1, "is_stuck": False},
    ]
    metrics = database.rows(
        "select name, value from scooters_ops.metrics"
        " where name in ('silenced_alerts', 'active_silences', 'delivery_stuck')"
    )
    assert {row["name"]: row["value"] for row in metrics} == {
        "silenced_alerts": 2,
        "active_silences": 1,
        "delivery_stuck": 0,
    }
    status = house.cli("status")
    assert "Nobody takes" not in status.stdout
    assert " UTC by ops: planned works (city=Moscow; 2 alerts held)" in status.stdout
    (row,) = json.loads(house.cli("status", "--output", "json").stdout)["silences"]
    assert (row["silence_id"], row["match"], row["alerts_held"]) == (silence_id, MOSCOW, 2)

    pass_hours(database, 3)
    # It has waited since the end, an hour ago: no alert rule may call it late.
    age = "select distinct round(extract(epoch from now() - created_at) / 60)::int"
    assert database.values(f"{age} from scooters_ops.unsent_recipients") == [60]
    waited = "select round(extract(epoch from waited) / 60)::int from scooters_ops.lease_deliveries"
    with database.connection.transaction(force_rollback=True):
        assert database.value(f"{waited}('n1', '{{\"st\": 1}}', 60)") == 60
    house.run_once()
    house.run_once()
    assert set(states(database)) == {"sent"}
    assert held(database) == {silence_id: (False, 0, 2)}
    _, message = house.telegram.messages
    assert "🔕 Silenced until " in message.text
    assert " by ops: planned works\n" in message.text
    (ticket,) = [
        issue for issue in house.tracker.tickets if token.split("_")[0] in issue.description
    ]
    assert "by `ops`: `planned works`." in ticket.description
    assert database.value("select bool_and(completed) from scooters_ops.notifications")


def test_an_alert_that_resolves_while_it_is_held_is_never_sent(
    house: House, database: TestDatabase
) -> None:
    escalation = {"at_factor": 3, "recipients": [BOSS]}
    route = {"match": {}, "recipients": [TELEGRAM], "escalate": [escalation]}
    house.configure(routes=[route])
    silence_id = silence(database)
    late(database)
    house.run_once()
    assert states(database) == ["silenced", "pending"]
    leaves(database)
    house.run_once()
    assert states(database) == ["cancelled", "cancelled"]
    notification = database.rows("select * from scooters_ops.monitoring_notifications")[0]
    assert notification["completed"]
    assert notification["recipients"] == [{**TELEGRAM, "sended": False}]
    pass_hours(database, 3)
    house.run_once()
    assert not house.telegram.messages
    assert held(database) == {silence_id: (False, 0, 1)}


def test_one_that_is_acknowledged_while_it_is_held_goes_out_and_says_who_has_it(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM)
    silence(database)
    token = house.skip()
    house.run_once()
    assert database.value("select scooters_ops.acknowledge(%s, 'olga')", token)
    assert states(database) == ["silenced"]
    pass_hours(database, 3)
    house.run_once()
    (message,) = house.telegram.messages
    assert "🙋 olga has it" in message.text
    assert "🔕 Silenced until" in message.text


def test_the_silence_that_ends_last_holds_and_ending_it_leaves_the_others(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM)
    short = silence(database, {"type": "job_skipped"}, "1 hour")
    house.skip()
    database.value(PLAN)
    assert steps(database) == [("alert", "silenced", 60)]
    long = silence(database, MOSCOW, "3 hours")
    assert steps(database) == [("alert", "silenced", 180)]
    assert held(database) == {short: (True, 0, 0), long: (True, 1, 1)}
    assert database.value(END, long)
    assert steps(database) == [("alert", "silenced", 60)]
    assert held(database) == {short: (True, 1, 1), long: (False, 0, 0)}
    with psycopg.connect(house.conninfo, autocommit=True) as listener:
        listener.execute("listen scooters_ops")
        assert database.value(END, short)
        assert [*listener.notifies(timeout=5, stop_after=1)]
    assert steps(database) == [("alert", "pending", 0)]
    assert [database.value(END, short), database.value(END, long)] == [False, False]
    with pytest.raises(psycopg.errors.NoDataFound, match="no silence 99"):
        database.value(END, 99)
    house.run_once()
    (message,) = house.telegram.messages
    assert "Silenced until" in message.text
    assert (
        database.value("select count(*) from scooters_ops.match_rules where scope = 'silence'") == 0
    )


def test_a_silence_holds_what_waits_already_but_nothing_that_was_tried_or_follows_an_alert(
    house: House, database: TestDatabase
) -> None:
    level = {"after_seconds": 3600, "recipients": [BOSS]}
    remind = {"every_seconds": 1800, "times": 1}
    route = {"match": {}, "recipients": [TELEGRAM], "escalate": [level], "remind": remind}
    house.configure(routes=[route])
    house.skip("m1")
    house.run_once()
    house.skip("m2")
    with house.telegram.down():
        house.run_once()
    house.skip("m3")
    database.value(PLAN)
    before = steps(database)
    assert [(step, state) for step, state, _ in before[:3]] == [
        ("alert", "sent"),
        ("escalation_1", "pending"),
        ("reminder_1", "pending"),
    ]
    silence_id = silence(database)
    # The second was tried, so it may have been seen.
    assert steps(database)[:6] == before[:6]
    assert steps(database)[6:] == [
        ("alert", "silenced", 120),
        ("escalation_1", "pending", 180),
        ("reminder_1", "waiting", None),
    ]
    database.value(END, silence_id)
    assert steps(database)[6:8] == [("alert", "pending", 0), ("escalation_1", "pending", 60)]
    assert (
        house.database.value(
            "select count(*) from scooters_ops.notification_recipients"
            " where silence_id is not null and step = 'reminder_1'"
        )
        == 0
    )


def test_escalations_count_from_the_end_of_the_hold_and_levels_by_factor_do_not_come_before_it(
    house: House, database: TestDatabase
) -> None:
    levels = [
        {"after_seconds": 600, "recipients": [BOSS]},
        {"at_factor": 3, "recipients": [TELEGRAM]},
    ]
    house.configure(routes=[{"match": {}, "recipients": [TELEGRAM], "escalate": levels}])
    late(database)
    # He arrived at the database's time now, so that 3 etas of 5 minutes are still to come.
    database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set details = details || jsonb_build_object('started_at', now())"
    )
    database.value(PLAN)
    assert steps(database) == [
        ("alert", "pending", 0),
        ("escalation_1", "pending", 10),
        ("escalation_2", "pending", 15),
    ]
    short = silence(database, MOSCOW, "10 minutes")
    assert [minutes for _, _, minutes in steps(database)] == [10, 20, 15]
    long = silence(database, MOSCOW, "2 hours")
    assert [minutes for _, _, minutes in steps(database)] == [120, 130, 120]
    database.value(END, long)
    assert [minutes for _, _, minutes in steps(database)] == [10, 20, 15]
    database.value(END, short)
    assert [minutes for _, _, minutes in steps(database)] == [0, 10, 15]
    assert database.values("select state from scooters_ops.unsent_recipients order by 1") == [
        "pending",
        "scheduled",
        "scheduled",
    ]


def test_a_calendar_in_a_match_is_about_the_time_of_the_notification(
    house: House, database: TestDatabase
) -> None:
    calendars = {"always": {"from": "00:00", "to": "24:00"}}
    house.configure(TELEGRAM, calendars=calendars)
    always = silence(database, {"at": "always", "city": ["Omsk", "Moscow"]}, "1 hour")
    house.skip()
    database.value(PLAN)
    assert states(database) == ["silenced"]
    # A config without the calendar is applied all the same: what is held waits for the end, and
    # the silence holds nothing new.
    house.configure(TELEGRAM)
    house.skip("m2")
    database.value(PLAN)
    assert states(database) == ["silenced", "pending"]
    assert held(database) == {always: (True, 1, 1)}


def test_what_is_held_waits_for_the_end_though_the_clock_was_set_back(
    house: House, database: TestDatabase
) -> None:
    level = {"after_seconds": 600, "recipients": [BOSS]}
    house.configure(routes=[{"match": {}, "recipients": [TELEGRAM], "escalate": [level]}])
    silence(database)
    house.skip()
    database.value(PLAN)
    house.skip("m2", city="Omsk")
    database.value(PLAN)
    database.value("select scooters_ops.report_notifier('h:1:c0ffee', 1, '1')")
    database.connection.execute(
        "update scooters_ops.notifiers set seen_at = now() + interval '5 minutes'"
    )
    assert len(house.lease("n1", "telegram", 60)) == 1  # of m2
    assert [(state, minutes) for _, state, minutes in steps(database)] == [
        ("silenced", 120),
        ("pending", 130),
        ("sending", None),
        ("pending", 5),
    ]


# --- Refusals, preview, retention -----------------------------------------------------------------

REFUSED: list[tuple[Any, str | None, str | None, str | None, str, str]] = [
    (None, "1 h", "c", "b", "22004", "match must not be null"),
    ([], "1 h", "c", "b", "22023", "match: must be object, not array"),
    ({}, "1 h", "c", "b", "22023", "match: must not be empty, or it would hold every alert"),
    (
        {"city": None},
        "1 h",
        "c",
        "b",
        "22023",
        "match.city: must be array or boolean or number or string",
    ),
    ({"city": []}, "1 h", "c", "b", "22023", "match.city: must have 1 items or more"),
    ({"city": [["x"]]}, "1 h", "c", "b", "22023", "match.city[0]: must be"),
    ({"city": "x" * 9000}, "1 h", "c", "b", "22023", "match: must have 8192 bytes or less"),
    ({"type": "test"}, "1 h", "c", "b", "22023", "match.type: must be one of timeout_in_point, "),
    ({"type": ["job_skipped", 7]}, "1 h", "c", "b", "22023", "match.type[1]: must be one of"),
    ({"at": "night"}, "1 h", "c", "b", "22023", "match.at: must name one of calendars"),
    (MOSCOW, None, "c", "b", "22004", "duration must not be null"),
    (MOSCOW, "0", "c", "b", "22023", "duration must be more than 0"),
    (MOSCOW, "-1 h", "c", "b", "22023", "duration must be more than 0"),
    (MOSCOW, "3601 s", "c", "b", "22023", "duration is longer than silences.longest_seconds"),
    (MOSCOW, "170000000 years", "c", "b", "22023", "duration is longer than silences.longest"),
    (MOSCOW, "1 h", " ", "b", "22004", "comment must not be empty"),
    (MOSCOW, "1 h", None, "b", "22004", "comment must not be empty"),
    (MOSCOW, "1 h", "\n\t", "b", "22004", "comment must not be empty"),
    (MOSCOW, "1 h", "c" * 501, "b", "22001", "comment is longer than 500 characters"),
    (MOSCOW, "1 h", "c", "\n", "22004", "by must not be empty"),
    (MOSCOW, "1 h", "c", "b" * 201, "22001", "by is longer than 200 characters"),
]


def test_every_refusal_names_what_is_wrong_and_changes_nothing(database: TestDatabase) -> None:
    database.apply_config(silences={"longest_seconds": 3600})
    for match, duration, comment, by, sqlstate, said in REFUSED:
        document = None if match is None else json.dumps(match)
        with pytest.raises(psycopg.Error) as caught:
            database.value(PLACE, document, duration, comment, by)
        message = caught.value.diag.message_primary or ""
        assert (caught.value.sqlstate, message[: len(said)]) == (sqlstate, said)
        if said.startswith(("match", "duration")):
            with pytest.raises(psycopg.Error, match=re.escape(message)):
                database.value("select scooters_ops.preview_silence(%s, %s)", document, duration)
    for by in ("", None, "b" * 201):
        with pytest.raises(psycopg.DataError, match="by "):
            database.value("select scooters_ops.unsilence(1, %s)", by)
    for scope in ("silences", "compiled_matches where scope = 'silence'"):
        assert database.value(f"select count(*) from scooters_ops.{scope}") == 0
    assert silence(database, duration="1 hour") == 1
    # A number from outside is never given again.
    query = "select scooters_ops.place_silence(%s, %s, '1 hour', 'c', 'b')"
    assert database.value(query, 40, json.dumps(MOSCOW)) == 40
    assert silence(database, duration="1 hour") == 41
    database.connection.execute("delete from scooters_ops.configs")
    assert silence(database, duration="7 days") == 42
    with pytest.raises(psycopg.DataError, match="604800 seconds"):
        silence(database, duration="8 days")


def test_a_preview_says_what_would_have_been_held_and_changes_nothing(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM)
    late(database)
    for mission_id in ("m2", "m3", "m4"):
        house.skip(mission_id)
    house.skip("m5", city="Omsk")
    leaves(database)
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set created_at = created_at - interval"
        " '25 hours' where mission_id = 'm4'"
    )
    database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set resolved_at = created_at + interval '30 minutes' where mission_id = 'm1'"
    )
    tables = ("compiled_matches", "compiled_terms", "compiled_keys", "silences")
    counts = [database.value(f"select count(*) from scooters_ops.{table}") for table in tables]
    query = (
        "select mission_id, extract(epoch from held)::int as seconds, would_be_told"
        " from scooters_ops.preview_silence(%s, %s)"
    )
    assert [tuple(row.values()) for row in database.rows(query, json.dumps(MOSCOW), "1 hour")] == [
        ("m1", 1800, False),
        ("m2", 3600, True),
        ("m3", 3600, True),
    ]
    (first, *_) = database.rows(query, json.dumps(MOSCOW), "20 minutes")
    assert tuple(first.values()) == ("m1", 1200, True)
    assert counts == [
        database.value(f"select count(*) from scooters_ops.{table}") for table in tables
    ]
    with pytest.raises(psycopg.DataError, match="match: must not be empty"):
        database.rows(query, "{}", "1 hour")


def test_pruning_forgets_silences_that_are_over(house: House, database: TestDatabase) -> None:
    house.configure(TELEGRAM, retention__notifications_seconds=86400)
    used, unused, active = (
        silence(database, {"mission_id": "m1"}, "1 hour"),
        silence(database, {"zone": "North"}, "1 hour"),
        silence(database, {"city": "Omsk"}, "7 days"),
    )
    house.skip()
    database.value(PLAN)
    pass_hours(database, 2)
    database.value("select scooters_ops.prune_bookkeeping()")
    query = "select match_id from scooters_ops.match_rules where scope = 'silence'"
    assert database.values(query) == [active]
    query = "select key from scooters_ops.match_keys where scope = 'silence'"
    assert database.values(query) == ["city"]
    assert held(database).keys() == {used, unused, active}
    pass_hours(database, 24)
    database.value("select scooters_ops.prune_bookkeeping()")
    assert held(database).keys() == {used, active}  # what it held still names the first
    house.run_once()
    assert "Silenced until" in house.telegram.messages[0].text
    database.connection.execute("delete from scooters_ops.monitoring_notifications")
    database.value("select scooters_ops.prune_bookkeeping()")
    assert held(database).keys() == {active}


@dataclass
class Model:
    """What must be told, and what must wait: an alert is held as long as any silence that matches
    it is active, and cancelled if it is resolved by then."""

    hours: int = 0
    silences: dict[int, tuple[dict[str, Any], int]] = field(default_factory=dict)
    """The match of each, and the hour at which it ends."""
    alerts: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By mission: its attribute n, and pending, sent or cancelled."""
    resolved: set[str] = field(default_factory=set)

    def is_held(self, n: int) -> bool:
        return any(
            end > self.hours and match.get("n", n) == n for match, end in self.silences.values()
        )

    def states(self) -> dict[str, str]:
        return {
            mission_id: "silenced" if state == "pending" and self.is_held(n) else state
            for mission_id, (n, state) in self.alerts.items()
        }

    def send(self) -> None:
        for mission_id, (n, state) in self.alerts.items():
            if state == "pending" and not self.is_held(n):
                self.alerts[mission_id] = (n, "sent")

    def cancel(self) -> None:
        for mission_id, (n, state) in self.alerts.items():
            if state == "pending" and self.is_held(n) and mission_id in self.resolved:
                self.alerts[mission_id] = (n, "cancelled")


@pytest.mark.parametrize("seed", range(3))
def test_silences_hold_what_a_model_says_and_lose_nothing(
    house: House, database: TestDatabase, seed: int
) -> None:
    house.configure(TELEGRAM)
    random, model = Random(seed), Model()
    found = "select mission_id, state from scooters_ops.notification_deliveries"
    leased = (
        "select recipient_id from scooters_ops.lease_deliveries('n1', '{\"telegram\": 99}', 60)"
    )
    sent = {"state": "sent", "is_attempt": True, "delay_seconds": 0}
    for number in range(60):
        script = random.choice(["skip", "skip", "silence", "end", "pass", "resolve", "deliver"])
        if script == "skip":
            n = random.randrange(2)
            house.skip(f"m{number}", n=n)
            database.value(PLAN)
            model.alerts[f"m{number}"] = (n, "pending")
        elif script == "silence":
            match: dict[str, Any] = random.choice([{"n": 0}, {"n": 1}, {"type": "job_skipped"}])
            hours = random.randint(1, 5)
            made = silence(database, match, f"{hours} hours")
            model.silences[made] = (match, model.hours + hours)
        elif script == "end" and model.silences:
            ended_id = random.choice([*model.silences])
            is_active = model.silences[ended_id][1] > model.hours
            assert database.value(END, ended_id) == is_active
            if is_active:
                model.silences[ended_id] = (model.silences[ended_id][0], model.hours)
        elif script == "pass":
            pass_hours(database, 1)
            model.hours += 1
        elif script == "resolve" and model.alerts:
            mission_id = random.choice([*model.alerts])
            resolved = database.values(
                "update scooters_ops.monitoring_notifications set resolved_at = now(),"
                " resolution = 'withdrawn' where mission_id = %s and resolved_at is null"
                " returning notification_id",
                mission_id,
            )
            database.value("select scooters_ops.settle_steps(%s)", resolved)
            model.resolved.add(mission_id)
        elif script == "deliver":
            results = [{"recipient_id": each, **sent} for each in database.values(leased)]
            database.value("select scooters_ops.record_deliveries('n1', %s)", json.dumps(results))
            model.send()
        model.cancel()
        steps_of = {row["mission_id"]: row["state"] for row in database.rows(found)}
        assert steps_of == model.states(), f"after {number}, {script}"


# --- Sessions at the same time --------------------------------------------------------------------


@contextmanager
def uncommitted(
    database: TestDatabase, query: str, *parameters: Any
) -> Iterator[psycopg.Connection[Any]]:
    """A session that has run the query and not committed yet; the end of the block commits."""
    with database.connect() as session, session.transaction():
        session.execute(query, parameters)
        yield session


def test_planning_passes_and_leases_do_not_wait_for_a_silence_that_has_not_committed(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM)
    late(database)
    database.value(PLAN)
    database.connection.execute("set lock_timeout = '1s'")
    with uncommitted(database, PLACE, json.dumps(MOSCOW), "2 hours", "works", "ops"):
        house.skip("m2")
        assert database.value(PLAN) == 1
        leaves(database)
        assert len(house.lease("n1", "telegram", 60)) == 1  # m2's, which was planned meanwhile
    # The pass has left the notification to the next one, which cancels what is held.
    assert states(database) == ["silenced", "sending"]
    database.detect(34)
    assert states(database) == ["cancelled", "sending"]
    assert database.value(
        "select completed from scooters_ops.notifications where mission_id = 'm1'"
    )


def test_ending_a_silence_releases_what_is_planned_at_the_same_time(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM)
    first, second = silence(database, duration="1 hour"), silence(database)
    house.skip("m1")
    with ThreadPoolExecutor(1) as pool, uncommitted(database, PLAN):
        ending = pool.submit(ended, database, second)
        waits = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
            " and query like '%unsilence%' and pid <> pg_backend_pid()"
        )
        until(lambda: database.value(waits) == 1)
    assert ending.result()
    assert steps(database) == [("alert", "silenced", 60)]
    # And planning does not wait for a silence that is being ended: it holds nothing any more.
    database.connection.execute("set lock_timeout = '1s'")
    with uncommitted(database, END, first):
        house.skip("m2")
        assert database.value(PLAN) == 1
    assert states(database) == ["pending", "pending"]


def test_a_silence_waits_for_no_recipient_once_it_has_locked_notifications(
    house: House, database: TestDatabase
) -> None:
    """Or there would be deadlocks: those who record results lock them the other way round."""
    house.configure(TELEGRAM, TICKET)
    house.skip("m1")
    database.value(PLAN)
    (leased,) = house.lease("n1", "telegram", 60)
    lock = "select from scooters_ops.notification_recipients where recipient_id = %s for update"
    own, other = database.values(
        "select recipient_id from scooters_ops.notification_recipients order by 1"
    )
    assert own == leased["recipient_id"]
    with ThreadPoolExecutor(1) as pool, database.connect() as recording:
        with uncommitted(database, lock, other):
            place = pool.submit(placed, database, MOSCOW)
            waits = (
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                " and query like %s and pid <> pg_backend_pid()"
            )
            until(lambda: database.value(waits, "%scooters_ops.silence(%") == 1)
            # The first is due again meanwhile, and somebody else has it.
            result = {"recipient_id": own, "state": "pending", "is_attempt": False}
            database.value(
                "select scooters_ops.record_deliveries('n1', %s)",
                json.dumps([{**result, "delay_seconds": 0}]),
            )
            recording.execute("begin")
            recording.execute(lock, [own])
        place.result()
        recording.execute("rollback")
    assert states(database) == ["pending", "silenced"]


def placed(database: TestDatabase, match: Any) -> None:
    with database.connect() as session:
        session.execute("set lock_timeout = '10s'")
        session.execute(PLACE, [json.dumps(match), "2 hours", "works", "ops"])


def ended(database: TestDatabase, silence_id: int) -> bool:
    with database.connect() as session:
        return bool(session.execute(END, [silence_id]).fetchone())


def test_silences_come_and_go_without_deadlocks_and_everything_is_told_once(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM, TICKET)
    missions = 24
    for n in range(missions):
        database.create_mission(f"m{n}", 1, jobs=2, attributes={"city": "Moscow", "n": n % 2})
    over = threading.Event()
    failures: list[str] = []

    def repeat(work: Any) -> None:
        with database.connect() as session:
            session.execute("set deadlock_timeout = '10ms'")
            try:
                while not over.is_set():
                    work(session)
            except psycopg.Error as error:
                failures.append(f"{error.sqlstate}: {error}")
                over.set()

    def silences(session: psycopg.Connection[Any]) -> None:
        for match in (MOSCOW, {"n": 0}, {"type": "job_skipped"}):
            (made,) = session.execute(
                PLACE, [json.dumps(match), "1 hour", "works", "ops"]
            ).fetchone() or (0,)
            session.execute(END, [made])

    def deliver(session: psycopg.Connection[Any]) -> None:
        name = str(session.info.backend_pid)
        slots = json.dumps({"telegram": 7, "st": 7})
        leased = session.execute(
            "select recipient_id from scooters_ops.lease_deliveries(%s, %s, 60, %s)",
            [name, slots, slots],
        ).fetchall()
        sent = {"state": "sent", "is_attempt": True, "delay_seconds": 0, "reference": "1"}
        results = json.dumps([{"recipient_id": id_, **sent} for (id_,) in leased])
        session.execute("select scooters_ops.record_deliveries(%s, %s)", [name, results])

    def plan(session: psycopg.Connection[Any]) -> None:
        session.execute("select scooters_ops.plan_deliveries(5)")
        session.execute("select scooters_ops.detect_timeouts()")
        session.execute("select scooters_ops.prune_silences()")

    with ThreadPoolExecutor(6) as pool:
        for work in (silences, silences, deliver, deliver, plan, plan):
            pool.submit(repeat, work)
        with database.connect() as writer:
            for n in range(missions):
                for job in ("j1", "j2"):
                    writer.execute("select scooters_ops.skip_job(%s, 'p1', %s)", [f"m{n}", job])
        until(
            lambda: (
                over.is_set()
                or database.value(
                    "select count(*) from scooters_ops.notification_recipients where state = 'sent'"
                )
                == missions * 4
            )
        )
        over.set()
    assert not failures
    assert set(states(database)) == {"sent"}
    assert database.value("select max(attempts) from scooters_ops.notification_recipients") == 1


# --- The command line, HTTP, the board ------------------------------------------------------------


def test_words_and_durations_are_read_as_people_write_them() -> None:
    words = ["city=Omsk", "city=Tomsk", "zone=7", 'n="7"', "point_id=7", "is_vip=true", "x=1e400"]
    match = match_of([*words, "y=NaN"])
    assert match == {
        "city": ["Omsk", "Tomsk"],
        "zone": 7,
        "n": "7",
        "point_id": "7",
        "is_vip": True,
        "x": "1e400",
        "y": "NaN",
    }
    assert match_of(words_of(match)) == match
    durations = {"90m": 5400, "2h": 7200, "3d": 259200, "1h30m": 5400, "5min": 300, "1.5h": 5400}
    for text, seconds in durations.items():
        assert duration_of(text) == timedelta(seconds=seconds)
    for text in ("", "2", "h", "2 h", "-2h", "0s", "1y", "400d", "٣h", "1e3s", "9" * 400 + "h"):
        with pytest.raises(ValueError, match="must be"):
            duration_of(text)


def test_the_command_line_silences_lists_and_ends(house: House, database: TestDatabase) -> None:
    house.configure(TELEGRAM)
    house.skip()
    database.value(PLAN)
    user = {"PGUSER": database.environment["PGUSER"]}

    def run(*arguments: str, code: int = 0) -> str:
        finished = house.cli(*arguments, **user)
        assert finished.returncode == code, finished.stderr
        return finished.stdout if code == 0 else finished.stderr

    words = ("city=Moscow", "type=job_skipped")
    dry = run("silence", *words, "--for", "2h", "--dry-run")
    assert "of 1 notification: 0 resolved by its end and never sent, 1 sent then" in dry
    assert "  m1_p1_j1_job_skipped: sent after 2 h" in dry
    (row,) = json.loads(run("silence", *words, "--for", "2h", "--dry-run", "--output", "json"))
    assert (row["idempotency_token"], row["held_seconds"]) == ("m1_p1_j1_job_skipped", 7200)
    assert run("silences") == "no silences\n"
    assert states(database) == ["pending"]

    made = run("silence", *words, "--for", "2h", "--comment", "works", "--by", "olga")
    assert made.startswith("silence 1: until 2")
    assert made.endswith(" UTC by olga: works (city=Moscow type=job_skipped; 1 alert held)\n")
    assert run("silences") == f"{1:>6}  {made.removeprefix('silence 1: ')}"
    (row,) = json.loads(run("silences", "--output", "json"))
    assert row["match"] == {"city": "Moscow", "type": "job_skipped"}
    assert states(database) == ["silenced"]
    assert run("unsilence", "1", "--by", "ivan") == "ended: what it held goes out now\n"
    assert run("unsilence", "1") == "it is over already\n"
    assert run("silences") == "no silences\n"
    assert "(ended by ivan) by olga: works" in run("silences", "--all")

    for arguments, said in (
        (("silence", "city", "--for", "2h", "--comment", "c"), "not of the form key=value"),
        (("silence", "at=x", "--for", "2h", "--comment", "c"), "match.at: must name one of"),
        (("silence", "a=b", "--for", "2h"), "silence needs --comment TEXT"),
        (("silence", "a=b", "--for", "2", "--comment", "c"), "must be a duration such as"),
        (("silence", "a=b", "--for", "8d", "--comment", "c"), "silences.longest_seconds"),
        (("unsilence", "x"), "must be the number of a silence"),
        (("unsilence", "7"), "no silence 7"),
    ):
        assert said in run(*arguments, code=2)
    denied = house.cli("silence", "a=b", "--for", "2h", "--comment", "c")
    assert (denied.returncode, "docs/dba.md" in denied.stderr) == (2, True)


def test_http_silences_lists_and_ends(cluster: Postgres) -> None:
    with (
        shared_database(cluster) as database,
        http_user(database) as environment,
        http_process(environment) as http,
    ):
        database.create_mission(attributes=MOSCOW)
        http.skip("m1", "p1", "j1")
        database.value(PLAN)
        body = {"match": MOSCOW, "duration_seconds": 3600, "comment": "works", "by": "olga"}
        made = http.post("/v1/silences", body)
        assert made.status_code == 201
        silence_id = made.json()["silence_id"]
        (listed,) = http.client.get("/v1/silences").json()["silences"]
        assert listed["ends_at"] == made.json()["ends_at"]
        assert (listed["silence_id"], listed["alerts_held"]) == (silence_id, 2)
        assert (listed["match"], listed["created_by"]) == (MOSCOW, "olga")
        url = f"/v1/silences/{silence_id}"
        answers = [http.client.delete(url, params={"by": "ivan"}) for _ in range(2)]
        assert [answer.json() for answer in answers] == [{"ended": True}, {"ended": False}]
        assert http.client.get("/v1/silences").json() == {"silences": []}
        assert states(database) == ["pending", "pending"]

        assert is_problem(http.client.delete("/v1/silences/99", params={"by": "ivan"}), 404)
        bad: list[Any] = [
            *([], {}, {**body, "match": {}}, {**body, "match": []}, {**body, "match": {"at": "x"}}),
            *({**body, "match": {"a": {}}}, {**body, "match": {"\0": 1}}, {**body, "more": 1}),
            *(
                {**body, "duration_seconds": value}
                for value in (0, -1, "60", True, None, 8 * 86400)
            ),
            *({**body, key: value} for key in ("comment", "by") for value in ("", " ", "\0", 7)),
            *({**body, "comment": "x" * 501}, {**body, "by": "x" * 201}),
        ]
        for each in bad:
            assert is_problem(http.post("/v1/silences", each), 422), each
        for path in ("x", "-1", str(2**63), "1?by=", "1"):
            assert is_problem(http.client.delete(f"/v1/silences/{path}"), 422), path
        plain = httpx.get(f"{http.url}/v1/silences", trust_env=False)
        assert is_problem(plain, 401)
        assert database.value("select count(*) from scooters_ops.silences") == 1


def test_the_board_and_the_missions_page_say_who_silenced_what_until_when(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM)
    hostile = "<b>works</b>"
    silence(database, {"city": "Moscow"}, "2 hours", hostile, "olga")
    silence(database, {"city": "Omsk", "type": "job_skipped"}, "3 hours", "storm", "ivan")
    house.skip()
    database.value(PLAN)
    with serving(database, refresh_seconds=0.01) as board:
        for lang, said in (("en", "Silenced until "), ("ru", "Без уведомлений до ")):
            page = httpx.get(f"{board.url}/board?lang={lang}", trust_env=False).text
            assert page.count(f"<strong>{said}") == 2
            assert "&lt;b&gt;works&lt;/b&gt;" in page
            assert hostile not in page
            assert "city=Omsk type=job_skipped" in page
            mission = httpx.get(f"{board.url}/board/missions/m1?lang={lang}", trust_env=False).text
            assert mission.count(f"<strong>{said}") == 1
            assert "city=Moscow" in mission
            assert "storm" not in mission
        assert "alerts held: 1" in httpx.get(f"{board.url}/board?lang=en", trust_env=False).text
        assert "silenced until " in page or "без уведомлений до " in page


def test_earlier_alerts_keep_the_line_when_their_message_is_edited(
    house: House, database: TestDatabase
) -> None:
    house.configure(TELEGRAM)
    silence_id = silence(database)
    token = house.skip()
    house.run_once()
    database.value(END, silence_id)
    house.run_once()
    database.value("select scooters_ops.acknowledge(%s, 'olga')", token)
    house.run_once()
    (edit,) = house.telegram.edits
    assert "🔕 Silenced until" in edit.text
    assert "🙋 olga has it" in edit.text
