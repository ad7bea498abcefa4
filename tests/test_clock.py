"""The clock was set back, as after a failover: no decision waits until the times that the old clock
stored have passed again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import TestDatabase, until

HOUR = 3600

# Every column that is written from the clock. The times of events are not.
CLOCK_COLUMNS = {
    "button_polls": ("polled_until",),
    "configs": ("applied_at",),
    "delivery_targets": ("held_until", "leased_at", "leased_due_at"),
    "detection_passes": ("as_of", "started_at"),
    "event_keys": ("created_at",),
    "missions": ("created_at",),
    "monitoring_notifications": (
        "created_at",
        "planned_at",
        "resolved_at",
        "acknowledged_at",
        "told_at",
    ),
    "news_horizon": ("news_since", "recorded_since", "followed_since"),
    "notification_recipients": ("next_attempt_at", "created_at", "sent_at"),
    "notifiers": ("started_at", "seen_at"),
    "unrouted_notifications": ("created_at",),
}
OTHER_TIMES = {
    ("monitoring_notifications", "ended_at"),  # the time of an event
    ("missions_history", "occurred_at"),  # reported by the mission service
    ("mission_wakeups", "due_at"),  # the time of an event to come
    ("mission_wakeups", "woken_at"),  # nothing is decided by these: they are shown
    ("recorded_intervals", "known_at"),
    ("recorded_intervals", "seen_at"),
    ("monitoring_notifications", "known_at"),
    ("recorded_intervals", "started_at"),  # times of events
    ("silences", "starts_at"),  # a silence ends when the clock of today says so
    ("silences", "ends_at"),
    ("silences", "ended_at"),
    ("recorded_intervals", "finished_at"),
    ("recorded_intervals", "deadline"),
}


def set_back(database: TestDatabase, seconds: float) -> None:
    """Makes all stored times look as if the clock had been set back by so many seconds since."""
    for table, columns in CLOCK_COLUMNS.items():
        assignments = ", ".join(
            f"{column} = {column} + make_interval(secs => %(seconds)s)" for column in columns
        )
        if table == "delivery_targets":
            assignments += (
                ", granted_at = array("
                "  select granted + make_interval(secs => %(seconds)s)"
                "  from unnest(granted_at) with ordinality as listed (granted, n) order by n)"
            )
        database.connection.execute(
            f"update scooters_ops.{table} set {assignments}".encode(), {"seconds": seconds}
        )


def skipped(database: TestDatabase, mission_id: str, jobs: int = 1) -> None:
    """A mission whose jobs were skipped, with planned recipients."""
    database.create_mission(mission_id, points=1, jobs=jobs)
    for job in range(1, jobs + 1):
        database.value("select scooters_ops.skip_job(%s, 'p1', %s)", mission_id, f"j{job}")
    database.value("select scooters_ops.plan_deliveries(100)")


def lease(database: TestDatabase, worker: str = "n1") -> list[int]:
    return database.values(
        "select recipient_id from scooters_ops.lease_deliveries(%s, '{\"telegram\": 9}', 60)",
        worker,
    )


def record(database: TestDatabase, recipient_id: int, state: str, **result: Any) -> None:
    document = [
        {"recipient_id": recipient_id, "state": state, "is_attempt": True, "delay_seconds": 0}
        | result
    ]
    assert database.value("select scooters_ops.record_deliveries('n1', %s)", json.dumps(document))


def limited(database: TestDatabase, rule: str, messages: int = 1, seconds: float = 60) -> None:
    limits: dict[str, Any] = {"per_channel": [], "per_target": [], "in_flight_per_target": None}
    limits[rule] = [{"messages": messages, "seconds": seconds}]
    database.apply_config(channels__telegram__limits=limits)


def test_every_time_column_is_listed_here(database: TestDatabase) -> None:
    columns = database.rows(
        "select relname::text, attname::text from pg_attribute"
        " join pg_class on pg_class.oid = attrelid"
        " where relnamespace = 'scooters_ops'::regnamespace and relkind = 'r'"
        "  and relname !~ '^_?yoyo_' and atttypid = 'timestamptz'::regtype and not attisdropped"
    )
    known = {(table, column) for table, names in CLOCK_COLUMNS.items() for column in names}
    assert {tuple(row.values()) for row in columns} == known | OTHER_TIMES


@pytest.mark.parametrize("rule", ["per_channel", "per_target"])
def test_limits_do_not_wait_for_grants_of_the_old_clock(database: TestDatabase, rule: str) -> None:
    limited(database, rule)
    skipped(database, "m1", jobs=2)
    (first,) = lease(database)
    assert lease(database) == []
    record(database, first, "sent")
    set_back(database, HOUR)
    assert len(lease(database)) == 1
    # From here on they limit again.
    skipped(database, "m2")
    assert lease(database) == []


@pytest.mark.parametrize("rule", ["per_channel", "per_target"])
def test_limits_ignore_grants_further_ahead_than_they_look_back(
    database: TestDatabase, rule: str
) -> None:
    """Here only the grants are in the future."""
    allowance = (
        "select free, opens_at - now() as opens_in from scooters_ops.rate_limit_status("
        " array(select now() + make_interval(secs => ahead)"
        "  from unnest(%s::float[]) with ordinality as listed (ahead, n) order by n),"
        ' \'[{"messages": 2, "seconds": 60}]\')'
    )
    assert database.rows(allowance, [3600.0, 3601.0])[0]["free"] == 2
    assert database.rows(allowance, [3600.0, -10.0])[0]["free"] == 1
    # In any order: the older of the two grants that count decides when the limit opens.
    (row,) = database.rows(allowance, [3600.0, -10.0, 30.0, -70.0])
    assert (row["free"], row["opens_in"].total_seconds()) == (0, 50)
    (row,) = database.rows(allowance, [-30.0, -20.0, -10.0])
    assert (row["free"], row["opens_in"].total_seconds()) == (-1, 40)


def test_a_retry_does_not_wait_for_the_old_clock(
    database: TestDatabase,
) -> None:
    limited(database, "per_channel", messages=30, seconds=1)
    skipped(database, "m1")
    (recipient_id,) = lease(database)
    record(database, recipient_id, "pending", delay_seconds=30)
    skipped(database, "m2")  # due at once by the old clock
    set_back(database, HOUR)
    # Due as long after now as it had been after the last sign of life: well below a second.
    until(lambda: lease(database))
    assert (
        database.value(
            "select state from scooters_ops.notification_recipients where recipient_id = %s",
            recipient_id,
        )
        == "pending"
    )
    # The other one waits no longer than it would have.
    wait = database.value("select wait_seconds from scooters_ops.next_delivery('{telegram}')")
    assert 0 <= wait <= 30


def test_the_lease_of_a_dead_notifier_ends_when_it_would_have(database: TestDatabase) -> None:
    skipped(database, "m1")
    database.value("select scooters_ops.report_notifier('n1', 1, '0001')")
    (recipient_id,) = lease(database)
    set_back(database, HOUR)
    assert lease(database, "n2") == []  # because n1 may be sending it
    assert database.value(
        "select next_attempt_at - now() between '0' and interval '60 s'"
        " from scooters_ops.notification_recipients"
    )
    database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = next_attempt_at - interval '60 s'"
    )
    assert lease(database, "n2") == [recipient_id]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"hold_seconds": 30, "error": "slow down"}, id="a chat on hold"),
        pytest.param({"is_channel_refused": True, "error": "401"}, id="a paused channel"),
    ],
)
def test_a_hold_lasts_no_longer_than_intended(
    database: TestDatabase, answer: dict[str, Any]
) -> None:
    skipped(database, "m1")
    (recipient_id,) = lease(database)
    record(database, recipient_id, "pending", **answer)
    hold = "select held_until - now() <= interval '30 s' from scooters_ops.delivery_holds"
    assert database.values(hold) == [True]
    set_back(database, HOUR)
    assert database.values(hold) == [False]
    # The next sign of life of any notifier notices it.
    database.value("select scooters_ops.report_notifier('n2', 1, '0001')")
    assert database.values(hold) == [True]


def test_a_notifier_that_was_seen_by_the_old_clock_notices_the_change(
    database: TestDatabase,
) -> None:
    """Nothing was ever leased, so its own sign of life is the only stored time."""
    database.value("select scooters_ops.report_notifier('n1', 1, '0001')")
    skipped(database, "m1")
    set_back(database, HOUR)
    database.value("select scooters_ops.report_notifier('n1', 1, '0001')")
    until(lambda: lease(database))


def test_a_clock_that_was_not_set_back_changes_nothing(database: TestDatabase) -> None:
    skipped(database, "m1")
    database.value("select scooters_ops.report_notifier('n1', 1, '0001')")
    (recipient_id,) = lease(database)
    record(database, recipient_id, "pending", delay_seconds=500, hold_seconds=400, error="wait")
    stored = (
        "select next_attempt_at, held_until, granted_at"
        " from scooters_ops.notification_recipients, scooters_ops.delivery_targets"
    )
    before = database.rows(stored)
    database.value("select scooters_ops.report_notifier('n1', 1, '0001')")
    assert lease(database) == []
    assert database.rows(stored) == before


def test_the_status_does_not_count_what_the_old_clock_saw_as_recent(database: TestDatabase) -> None:
    """Detection, a notifier and a lease that died, with times an hour in the future."""
    skipped(database, "m1", jobs=2)
    database.value("select scooters_ops.detect_timeouts()")
    database.value("select scooters_ops.report_notifier('n1', 1, '0001')")
    lease(database)
    assert database.values("select is_stalled from scooters_ops.detection_status") == [False]
    assert database.values("select is_alive from scooters_ops.notifier_status") == [True]
    set_back(database, HOUR)
    database.connection.execute(
        "update scooters_ops.configs set applied_at = now() - interval '1 day'"
    )
    assert database.values("select is_stalled from scooters_ops.detection_status") == [True]
    assert database.values("select is_alive from scooters_ops.notifier_status") == [False]
    # What fell due by the new clock and is not taken.
    database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set state = 'pending', leased_by = null, next_attempt_at = now() - interval '30 min'"
    )
    assert set(database.values("select is_stuck from scooters_ops.delivery_status")) == {True}
    # A config applied by the old clock does not make a current pass look old.
    database.value("select scooters_ops.detect_timeouts()")
    database.connection.execute(
        "update scooters_ops.configs set applied_at = now() + interval '1 hour'"
    )
    assert database.values("select is_stalled from scooters_ops.detection_status") == [False]


def test_a_news_horizon_in_the_future_hides_no_timeout(database: TestDatabase) -> None:
    database.create_mission()
    database.value(
        "select scooters_ops.record_event('m1', 'mission_started', null, now() - interval '1 h')"
    )
    database.connection.execute(
        "update scooters_ops.news_horizon set news_since = now() + interval '70 years'"
    )
    assert database.value("select scooters_ops.detect_timeouts()") == 1
    # Pruning corrects the horizon.
    database.connection.execute("call scooters_ops.prune_in_batches()")
    assert database.value("select news_since < now() from scooters_ops.news_horizon")


def test_pruning_handles_rows_created_by_the_old_clock(database: TestDatabase) -> None:
    database.apply_config(
        detection__notify_within_seconds=60,
        retention__notifications_seconds=60,
        retention__batch_size=1,
    )
    skipped(database, "m1")
    skipped(database, "m2")
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set completed = true, created_at = now()"
        " + case mission_id when 'm1' then interval '1 year' else interval '-1 day' end"
    )
    database.connection.execute(
        "update scooters_ops.notification_recipients set state = 'sent', sent_at = now()"
    )
    database.connection.execute("delete from scooters_ops.missions")
    database.connection.execute("call scooters_ops.prune_in_batches()")
    assert database.tokens() == []


def test_the_waiting_time_of_a_message_is_never_negative(database: TestDatabase) -> None:
    skipped(database, "m1")
    database.connection.execute(
        "update scooters_ops.monitoring_notifications set created_at = now() + interval '1 hour'"
    )
    assert database.value(
        "select waited = '0' from scooters_ops.lease_deliveries('n1', '{\"telegram\": 9}', 60)"
    )
