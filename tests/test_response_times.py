"""How soon something was noticed, told, acknowledged and over, what made it late, and the same as
histograms, whatever is pruned."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from tests.conftest import TestDatabase, config, until
from tests.test_clock import set_back
from tests.test_lateness import passed, record, started

MINUTE = timedelta(minutes=1)
LATE = 400
"""Seconds that are longer than notifier.stuck_after_seconds."""

CHAT = {"type": "telegram", "chat_id": -1}
OTHER_CHAT = {"type": "telegram", "chat_id": -2}
TYPES = ("timeout_in_point", "timeout_between_points", "job_skipped")
STAGES = ("noticed", "told", "acknowledged", "resolved")
TIMES = (
    "select idempotency_token, type::text, happened_at, noticed_at, told_at, acknowledged_at,"
    " acknowledged_by, resolved_at, ended_at, noticed_after, told_after, acknowledged_after,"
    " resolved_after, late_because, told_late_because"
    " from scooters_ops.response_times order by notification_id"
)


def routed(database: TestDatabase, **changes: Any) -> None:
    """Every notification goes to one chat, without limits."""
    changes = {
        "routes": [{"match": {}, "recipients": [CHAT]}],
        "channels__telegram__limits": None,
    } | changes
    document = json.dumps(config(**changes))
    database.value("select scooters_ops.apply_config(%s)", document)


def skip(database: TestDatabase, mission_id: str, *, planned: bool = True) -> str:
    database.create_mission(mission_id, 1, attributes={"city": "Omsk"})
    database.value("select scooters_ops.skip_job(%s, 'p1', 'j1')", mission_id)
    if planned:
        plan(database)
    return f"{mission_id}_p1_j1_job_skipped"


def plan(database: TestDatabase) -> None:
    database.value("select scooters_ops.plan_deliveries(100)")


def elapse(database: TestDatabase, seconds: float) -> None:
    """Whatever was stored happened so many seconds earlier."""
    set_back(database, -seconds)
    database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set ended_at = ended_at - make_interval(secs => %s)",
        (seconds,),
    )
    database.connection.execute(
        "update scooters_ops.silences set starts_at = starts_at - make_interval(secs => %(s)s),"
        " ends_at = ends_at - make_interval(secs => %(s)s),"
        " ended_at = ended_at - make_interval(secs => %(s)s)",
        {"s": seconds},
    )


def lease(database: TestDatabase, most: int = 100) -> list[int]:
    return database.values(
        "select recipient_id from scooters_ops.lease_deliveries('n1', %s, 60, '{}', '{telegram}')",
        json.dumps({"telegram": most}),
    )


def answered(database: TestDatabase, recipients: list[int], state: str, **result: Any) -> None:
    document = [
        {"recipient_id": number, "state": state, "is_attempt": True, "delay_seconds": 0} | result
        for number in recipients
    ]
    database.value("select scooters_ops.record_deliveries('n1', %s)", json.dumps(document))


def send(database: TestDatabase) -> None:
    answered(database, lease(database), "sent")


def times(database: TestDatabase, token: str) -> dict[str, Any]:
    (row,) = (row for row in database.rows(TIMES) if row["idempotency_token"] == token)
    return row


def is_about(duration: timedelta | None, seconds: float) -> bool:
    """That much, or longer by what a busy machine takes."""
    return duration is not None and 0 <= duration.total_seconds() - seconds < 60


def total(database: TestDatabase, stage: str, type: str, le: str = "+Inf") -> float:
    value: float = database.value(
        "select value from scooters_ops.metrics where name = %s and labels = %s",
        f"{stage}_after_seconds_bucket",
        json.dumps({"type": type, "le": le}),
    )
    return value


# --- Durations and reasons ------------------------------------------------------------------------


def test_each_duration_runs_from_what_came_before(database: TestDatabase) -> None:
    routed(database)
    start = started(database, 20 * MINUTE)
    as_of = passed(database)
    (row,) = database.rows(TIMES)
    assert row["happened_at"] == start + 15 * MINUTE == as_of - row["noticed_after"]
    assert row["noticed_at"] >= as_of
    assert [row[f"{stage}_after"] for stage in STAGES[1:]] == [None] * 3
    assert (row["late_because"], row["told_late_because"]) == ("event_late", None)

    plan(database)
    elapse(database, 100)
    send(database)
    elapse(database, 200)
    database.value("select scooters_ops.acknowledge(%s, 'Olga')", row["idempotency_token"])
    elapse(database, 400)
    record(database, MINUTE, "m1", "point_arrived", "p1")
    elapse(database, 50)
    passed(database)
    (row,) = database.rows(TIMES)
    assert row["noticed_after"] == as_of - start - 15 * MINUTE
    assert is_about(row["told_after"], 100)
    assert row["told_after"] == row["told_at"] - row["noticed_at"]
    assert is_about(row["acknowledged_after"], 200)
    assert row["acknowledged_after"] == row["acknowledged_at"] - row["told_at"]
    assert row["acknowledged_by"] == "Olga"
    # Until the courier arrived, and not until a pass saw it.
    assert is_about(row["resolved_after"], 100 + 200 + 400 + 50 - 60)
    assert row["resolved_after"] == row["ended_at"] - row["noticed_at"]
    assert is_about(row["resolved_at"] - row["ended_at"], 60)
    assert row["told_late_because"] is None

    # What has gone on since then does not matter.
    buckets = {"noticed": "900", "told": "180", "acknowledged": "300", "resolved": "900"}
    for stage, le in buckets.items():
        assert total(database, stage, "timeout_between_points", "5") == 0
        assert total(database, stage, "timeout_between_points", le) == 1


def test_what_nobody_was_told_of_is_acknowledged_from_when_it_was_noticed(
    database: TestDatabase,
) -> None:
    token = skip(database, "m1", planned=False)
    elapse(database, 100)
    database.value("select scooters_ops.acknowledge(%s, 'Olga')", token)
    plan(database)
    elapse(database, 50)
    send(database)
    row = times(database, token)
    assert row["happened_at"] == row["noticed_at"]
    assert row["noticed_after"] is None  # nobody has to notice a skip
    assert is_about(row["acknowledged_after"], 100)
    assert is_about(row["told_after"], 150)
    assert total(database, "acknowledged", "job_skipped") == 1


def test_what_was_over_when_it_was_noticed_or_never_was_has_no_time_to_its_end(
    database: TestDatabase,
) -> None:
    started(database, 60 * MINUTE)
    record(database, 30 * MINUTE, "m1", "point_arrived", "p1")
    started(database, 60 * MINUTE, "m2")
    passed(database)
    database.connection.execute("delete from scooters_ops.missions_history where mission_id = 'm2'")
    passed(database)
    rows = database.rows("select resolution, resolved_after from scooters_ops.response_times")
    assert {(row["resolution"], row["resolved_after"]) for row in rows} >= {
        ("moved_on", None),
        ("withdrawn", None),
    }
    assert total(database, "resolved", "timeout_between_points") == 0


def test_why_people_were_told_late(database: TestDatabase) -> None:
    routed(database)
    expected: dict[str, str | None] = {}

    def told(token: str, because: str | None) -> None:
        row = times(database, token)
        assert row["told_late_because"] == because, token
        assert (row["told_after"].total_seconds() > 300) == (because is not None)
        expected[token] = because

    token = skip(database, "quick")
    elapse(database, 100)
    send(database)
    told(token, None)

    token = skip(database, "unplanned", planned=False)
    elapse(database, LATE)
    plan(database)
    send(database)
    told(token, "no_notifier")

    token = skip(database, "untaken")
    elapse(database, LATE)
    send(database)
    told(token, "no_notifier")

    routed(database, routes=[])
    token = skip(database, "unrouted")
    elapse(database, LATE)
    routed(database)
    database.value("select scooters_ops.retry_deliveries()")
    send(database)
    told(token, "unrouted")

    silence = database.value(
        "select scooters_ops.silence('{\"mission_id\": \"silenced\"}', '1 hour', 'known')"
    )
    token = skip(database, "silenced")
    elapse(database, LATE)
    database.value("select scooters_ops.unsilence(%s)", silence)
    send(database)
    told(token, "silenced")

    token = skip(database, "failing")
    answered(database, lease(database), "pending", error="500")
    elapse(database, LATE)
    send(database)
    told(token, "failing")

    first = skip(database, "asked to wait")
    answered(database, lease(database), "pending", error="429", hold_seconds=LATE - 10)
    token = skip(database, "behind it")
    elapse(database, LATE)
    send(database)
    told(first, "failing")
    told(token, "on_hold")

    patient = {"first_seconds": LATE - 10, "factor": 2, "max_seconds": 3600}
    routed(database, notifier__retry=patient | {"give_up_after_attempts": 12})
    first = skip(database, "refused")
    answered(
        database, lease(database), "pending", error="401", is_attempt=False, is_channel_refused=True
    )
    token = skip(database, "behind the refusal")
    elapse(database, LATE)
    answered(database, lease(database), "sent", is_channel_accepted=True)
    send(database)
    told(first, "on_hold")
    told(token, "on_hold")

    limits = {
        "per_channel": [],
        "per_target": [{"messages": 1, "seconds": 60}],
        "in_flight_per_target": None,
    }
    routed(database, channels__telegram__limits=limits)
    elapse(database, 70)
    tokens = [skip(database, f"in line {number}") for number in range(7)]
    for _ in tokens:
        send(database)
        elapse(database, 70)
    # Of seven, a minute and more apart, the sixth waits for more than five minutes.
    for number, each in enumerate(tokens):
        told(each, "limits" if number > 4 else None)

    counted = database.rows(
        "select labels ->> 'late_because' as because, value from scooters_ops.metrics"
        " where name = 'told_late_total' and labels ->> 'type' = 'job_skipped'"
    )
    assert {row["because"]: row["value"] for row in counted} == {
        "unrouted": 1, "no_notifier": 2, "silenced": 1, "on_hold": 3, "limits": 2, "failing": 2,
    }  # fmt: skip
    assert total(database, "told", "job_skipped") == len(expected)


def test_the_members_of_a_digest_share_what_delayed_it(database: TestDatabase) -> None:
    routed(database, channels__telegram__digest_above=2)
    tokens = [skip(database, f"m{number}") for number in range(4)]
    elapse(database, LATE)
    (leader,) = lease(database)
    answered(database, [leader], "sent")
    assert {times(database, token)["told_late_because"] for token in tokens} == {"no_notifier"}
    assert total(database, "told", "job_skipped") == 4


def test_the_first_of_two_alerts_counts_and_the_second_changes_nothing(
    database: TestDatabase,
) -> None:
    routed(database, routes=[{"match": {}, "recipients": [CHAT, OTHER_CHAT]}])
    token = skip(database, "m1")
    first, second = lease(database)
    answered(database, [second], "in_doubt", error="timeout")
    elapse(database, 100)
    assert times(database, token)["told_at"] is None
    answered(database, [first], "sent")
    told_at = times(database, token)["told_at"]
    database.value("select scooters_ops.confirm_deliveries(%s)", token)
    assert times(database, token)["told_at"] == told_at
    assert total(database, "told", "job_skipped") == 1


def test_two_notifiers_that_record_two_alerts_at_once_tell_once(database: TestDatabase) -> None:
    routed(database, routes=[{"match": {}, "recipients": [CHAT, OTHER_CHAT]}])
    token = skip(database, "m1")
    first, second = lease(database)
    sent = {"state": "sent", "is_attempt": True, "delay_seconds": 0}
    record_first = json.dumps([sent | {"recipient_id": first}])
    with database.connect() as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute("select scooters_ops.record_deliveries('n1', %s)", (record_first,))
            waiting = pool.submit(answered, database, [second], "sent")
            until(
                lambda: (
                    other.execute(
                        "select count(*) from pg_stat_activity"
                        " where datname = current_database() and wait_event_type = 'Lock'"
                    ).fetchone()
                    == (1,)
                )
            )
        waiting.result()
    assert total(database, "told", "job_skipped") == 1
    (first_sent_at,) = database.values(
        "select min(sent_at) from scooters_ops.notification_deliveries"
    )
    assert times(database, token)["told_at"] == first_sent_at


def test_what_an_earlier_version_told_of_has_the_time_of_its_first_alert(
    database: TestDatabase,
) -> None:
    routed(database)
    token = skip(database, "m1")
    send(database)
    told_at = times(database, token)["told_at"]
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set told_at = null, config_id = null"
    )
    assert times(database, token)["told_at"] == told_at
    # Whatever happens to it next, it is not told again.
    elapse(database, LATE)
    database.value("select scooters_ops.refresh_notifications(array[notification_id])"
                   " from scooters_ops.monitoring_notifications")  # fmt: skip
    assert times(database, token)["told_after"] < timedelta(seconds=60)


def test_a_message_of_notifier_test_is_not_counted(database: TestDatabase) -> None:
    routed(database)
    database.value("select scooters_ops.send_test(%s, 'Olga', 'host')", json.dumps([CHAT]))
    send(database)
    assert database.rows(TIMES) == []
    assert [total(database, stage, "job_skipped") for stage in ("told", "acknowledged")] == [0, 0]


# --- Histograms -----------------------------------------------------------------------------------


class Recount:
    """What the histograms should say: every duration that response_times ever showed."""

    def __init__(self, database: TestDatabase) -> None:
        self.database = database
        self.durations: dict[tuple[str, str], tuple[str, timedelta]] = {}
        self.late: Counter[tuple[str, str, str]] = Counter()

    def look(self) -> None:
        for row in self.database.rows(TIMES):
            for stage in STAGES:
                key = (row["idempotency_token"], stage)
                if row[f"{stage}_after"] is None or key in self.durations:
                    continue
                self.durations[key] = (row["type"], row[f"{stage}_after"])
                reason = {"noticed": "late_because", "told": "told_late_because"}.get(stage)
                if reason is not None and row[reason] is not None:
                    self.late[stage, row["type"], row[reason]] += 1

    def check(self) -> Mapping[Any, float]:
        """Compare; return all counts by metric and labels."""
        shown = {
            (row["name"], tuple(sorted(row["labels"].items()))): row["value"]
            for row in self.database.rows(
                "select name, labels, value from scooters_ops.metrics"
                " where name ~ '_after_seconds|_late_'"
            )
        }
        recounted: dict[Any, float] = dict.fromkeys(shown, 0)
        bounds = self.database.value("select scooters_ops.duration_bounds()")
        names = [f"{bound:g}" for bound in bounds] + ["+Inf"]
        for (_, stage), (type, duration) in self.durations.items():
            seconds = duration.total_seconds()
            recounted[f"{stage}_after_seconds_sum", (("type", type),)] += seconds
            for bound, name in zip([*bounds, float("inf")], names, strict=True):
                if seconds <= bound:
                    labels = (("le", name), ("type", type))
                    recounted[f"{stage}_after_seconds_bucket", labels] += 1
        for (stage, type, reason), count in self.late.items():
            recounted[f"{stage}_late_total", (("late_because", reason), ("type", type))] += count
        assert shown.keys() == recounted.keys()
        for key, value in shown.items():
            assert value == pytest.approx(recounted[key]), key
        return shown


@pytest.mark.slow(seconds=8)
def test_the_histograms_are_a_recount_of_response_times_whatever_is_pruned(
    database: TestDatabase,
) -> None:
    chance = Random(16)
    routed(database)
    recount = Recount(database)
    before: Mapping[Any, float] = {}
    missions = 0

    def anything(query: str) -> Any:
        found = database.values(query)
        return chance.choice(found) if found else None

    for step in range(160):
        match chance.randrange(10):
            case 0:
                missions += 1
                skip(database, f"s{missions}", planned=False)
            case 1:
                missions += 1
                started(database, chance.randrange(10, 120) * MINUTE, f"m{missions}")
            case 2:
                passed(database)
            case 3:
                plan(database)
            case 4:
                state = chance.choice(("sent", "sent", "pending", "in_doubt"))
                answered(
                    database, lease(database, 3), state, error=None if state == "sent" else "?"
                )
            case 5:
                if token := anything(
                    "select idempotency_token from scooters_ops.notifications"
                    " where resolved_at is null"
                ):
                    database.value("select scooters_ops.acknowledge(%s, 'Olga')", token)
            case 6:
                if mission := anything(
                    "select mission_id from scooters_ops.interval_history"
                    " where is_open and point_id = 'p1'"
                ):
                    ago = timedelta(seconds=chance.choice((0, 30)))
                    record(database, ago, mission, "point_arrived", "p1")
                    passed(database)
            case 7:
                elapse(database, chance.choice((3, 30, 400)))
            case 8:
                database.value(chance.choice((
                    "select scooters_ops.prune_bookkeeping()",
                    "select scooters_ops.retry_deliveries()",
                )))  # fmt: skip
            case 9:
                # As if it had been there for long: pruning deletes it.
                database.connection.execute(
                    "delete from scooters_ops.monitoring_notifications where notification_id = %s",
                    (anything("select notification_id from scooters_ops.notifications"),),
                )
        recount.look()
        if step % 8 == 7:
            after = recount.check()
            assert all(after[key] >= value for key, value in before.items())
            before = after
    stages = Counter(stage for _, stage in recount.durations)
    assert min(stages[stage] for stage in STAGES) >= 3, stages
    assert len(recount.late) >= 3
    assert database.value("select sum(durations) from scooters_ops.duration_totals") > 0


def test_folding_and_appending_neither_wait_for_each_other_nor_lose_anything(
    database: TestDatabase,
) -> None:
    tokens = [skip(database, f"m{number}", planned=False) for number in range(4)]
    acknowledge = "select scooters_ops.acknowledge(%s, 'Olga')"
    counted = (
        "select value from scooters_ops.metrics where name = 'acknowledged_after_seconds_bucket'"
        ' and labels = \'{"type": "job_skipped", "le": "+Inf"}\''
    )
    database.connection.execute("set lock_timeout = '5s'")
    with database.connect() as person, database.connect() as reader, database.connect() as other:

        def count(connection: Any) -> float:
            (value,) = connection.execute(counted).fetchone()
            return float(value)

        database.value(acknowledge, tokens[0])
        reader.execute("begin isolation level repeatable read")
        assert count(reader) == 1
        with person.transaction():
            person.execute(acknowledge, (tokens[1],))
            passed(database)  # folds the first alone
            assert (count(database.connection), count(person)) == (1, 2)
        assert count(database.connection) == 2
        with other.transaction():  # a pass that goes on
            other.execute("select scooters_ops.detect_timeouts()")
            database.value(acknowledge, tokens[2])
            assert (count(database.connection), count(other)) == (3, 3)
            database.value("select scooters_ops.prune_bookkeeping()")  # another one folds nothing
            with person.transaction(force_rollback=True):
                person.execute(acknowledge, (tokens[3],))
        assert count(database.connection) == 3
        passed(database)
        assert (count(database.connection), count(reader)) == (3, 1)
    assert database.value("select count(*) from scooters_ops.new_durations") == 0


def test_where_detection_is_off_pruning_folds(database: TestDatabase) -> None:
    routed(database, detection__enabled=False)
    token = skip(database, "m1", planned=False)
    database.value("select scooters_ops.acknowledge(%s, 'Olga')", token)
    passed(database)
    assert database.value("select count(*) from scooters_ops.new_durations") == 1
    assert total(database, "acknowledged", "job_skipped") == 1
    database.value("select scooters_ops.prune_bookkeeping()")
    assert database.value("select count(*) from scooters_ops.new_durations") == 0
    assert total(database, "acknowledged", "job_skipped") == 1
