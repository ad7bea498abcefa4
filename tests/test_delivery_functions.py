"""The SQL functions of delivery (plan, lease, record, release, retry) and the status views."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from notifier.resources import MIGRATIONS, SQL
from tests.conftest import TestDatabase, until

TELEGRAM = {"type": "telegram", "chat_id": -1001}
OTHER_CHAT = {"type": "telegram", "chat_id": -1002}
TICKET = {"type": "st", "queue": "DUTY"}
BOTH = {"telegram": 100, "st": 100}
NOTIFIER = "scooters_ops_notifier"


class Sender:
    """Calls the functions of a notifier, in the notifier's role and on its own connection."""

    def __init__(self, database: TestDatabase) -> None:
        self.database = database
        self.connection = database.connect(role=NOTIFIER)

    def route(self, *recipients: dict[str, Any], **changes: Any) -> None:
        """Routes everything to these recipients, without limits unless `changes` set them."""
        routes = [{"match": {}, "recipients": list(recipients)}]
        without = {f"channels__{channel}__limits": None for channel in BOTH}
        self.database.apply_config(routes=routes, **(without | changes))

    def skip(self, count: int = 1, city: str = "Moscow") -> list[str]:
        """Skips a job in each of `count` missions; returns the tokens of the notifications."""
        for number in range(1, count + 1):
            self.database.create_mission(f"m{number}", 1, attributes={"city": city})
            self.database.value("select scooters_ops.skip_job(%s, 'p1', 'j1')", f"m{number}")
        return [f"m{number}_p1_j1_job_skipped" for number in range(1, count + 1)]

    def plan(self, batch_size: int = 100) -> int:
        return int(self.call("plan_deliveries", batch_size)[0]["plan_deliveries"])

    def lease(
        self, slots: dict[str, int] = BOTH, seconds: float = 60, worker: str = "w1"
    ) -> list[dict[str, Any]]:
        return self.call("lease_deliveries", worker, json.dumps(slots), seconds)

    def record(self, *results: dict[str, Any], worker: str = "w1") -> int:
        (row,) = self.call("record_deliveries", worker, json.dumps(results))
        return int(row["record_deliveries"])

    def renew(self, *ids: int, seconds: float = 60, worker: str = "w1") -> list[int]:
        rows = self.call("renew_leases", worker, list(ids), seconds)
        return sorted(row["renew_leases"] for row in rows)

    def release(self, *kept_ids: int, worker: str = "w1") -> int:
        (row,) = self.call("release_deliveries", worker, list(kept_ids))
        return int(row["release_deliveries"])

    def retry(self, token: str | None = None, channel: str | None = None) -> int:
        return int(self.call("retry_deliveries", token, channel)[0]["retry_deliveries"])

    def confirm(self, token: str | None, channel: str | None = None) -> int:
        return int(self.call("confirm_deliveries", token, channel)[0]["confirm_deliveries"])

    def call(self, function: str, *parameters: Any) -> list[dict[str, Any]]:
        marks = ", ".join(["%s"] * len(parameters))
        cursor = self.connection.cursor(row_factory=dict_row)
        return cursor.execute(
            f"select * from scooters_ops.{function}({marks})", parameters
        ).fetchall()

    def notifications(self) -> list[tuple[bool, list[dict[str, Any]]]]:
        """completed and recipients of each notification."""
        rows = self.database.rows(
            "select completed, recipients from scooters_ops.monitoring_notifications"
            " order by notification_id"
        )
        return [(row["completed"], row["recipients"]) for row in rows]

    def recipients(self) -> list[dict[str, Any]]:
        return self.database.rows(
            "select * from scooters_ops.notification_recipients order by recipient_id"
        )

    def recipient(self) -> dict[str, Any]:
        (row,) = self.recipients()
        return row

    def wait_seconds(self) -> float:
        """How many seconds remain until the only recipient is due."""
        return float(
            self.database.value(
                "select extract(epoch from next_attempt_at - now())"
                " from scooters_ops.notification_recipients"
            )
        )


@pytest.fixture
def sender(database: TestDatabase) -> Iterator[Sender]:
    made = Sender(database)
    yield made
    made.connection.close()


@pytest.fixture
def other(database: TestDatabase) -> Iterator[Sender]:
    """A second notifier."""
    made = Sender(database)
    yield made
    made.connection.close()


def result(row: dict[str, Any], state: str, **fields: Any) -> dict[str, Any]:
    """A result as notifier.database.values.Result has it."""
    defaults = {"is_attempt": True, "delay_seconds": 0, "error": None, "reference": None}
    return {"recipient_id": row["recipient_id"], "state": state, **defaults, **fields}


@contextmanager
def waiting_for(database: TestDatabase, blocked: int) -> Iterator[None]:
    """The block ends when `blocked` connections to the database wait for a lock."""
    yield
    while (
        database.value(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        < blocked
    ):
        pass


# --- Plan --------------------------------------------------------------------------------------


def test_a_plan_stores_exactly_the_recipients_that_the_routes_name(sender: Sender) -> None:
    topic = {**TELEGRAM, "message_thread_id": 7}
    sender.route(TICKET, topic, TELEGRAM)
    sender.skip()
    assert sender.plan() == 1
    assert sender.notifications() == [
        (False, [{**each, "sended": False} for each in (TICKET, topic, TELEGRAM)])
    ]
    assert [(row["channel"], row["target"], row["state"]) for row in sender.recipients()] == [
        ("st", TICKET, "pending"),
        ("telegram", topic, "pending"),
        ("telegram", TELEGRAM, "pending"),
    ]


def test_the_plan_depends_on_type_job_type_and_attributes(sender: Sender) -> None:
    sender.database.apply_config(
        routes=[
            {
                "match": {"type": "job_skipped", "job_type": "battery_exchange", "city": "Kazan"},
                "recipients": [TICKET],
            },
            {"match": {}, "recipients": [TELEGRAM]},
        ]
    )
    sender.skip(city="Kazan")
    sender.database.create_mission("m2")
    sender.database.value("select scooters_ops.skip_job('m2', 'p1', 'j1')")
    assert sender.plan() == 2
    assert [row["target"] for row in sender.recipients()] == [TICKET, TELEGRAM]


def test_a_plan_is_made_once_and_a_later_config_does_not_change_it(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    assert sender.plan() == 1
    sender.route(TICKET)
    assert sender.plan() == 0
    assert [row["target"] for row in sender.recipients()] == [TELEGRAM]


def test_a_plan_takes_the_oldest_notifications_first_and_no_more_than_its_maximum(
    sender: Sender,
) -> None:
    sender.route(TELEGRAM)
    tokens = sender.skip(5)
    assert sender.plan(2) == 2
    assert [row["idempotency_token"] for row in sender.lease()] == tokens[:2]
    assert [sender.plan(2), sender.plan(2), sender.plan(2)] == [2, 1, 0]


def test_a_notification_whose_route_has_no_recipients_is_completed_at_once(
    sender: Sender,
) -> None:
    sender.database.apply_config(routes=[{"match": {}, "recipients": []}])
    sender.skip()
    assert sender.notifications() == [(False, [])]
    assert sender.plan() == 1
    assert sender.notifications() == [(True, [])]
    assert sender.plan() == 0
    assert unrouted(sender) == []


OTHERS = {"match": {"city": "Kazan"}, "recipients": [TELEGRAM]}
"""A route that does not match the jobs skipped here."""


def unrouted(sender: Sender) -> list[str]:
    return sender.database.values(
        "select idempotency_token from scooters_ops.notifications where is_unrouted order by 1"
    )


@pytest.mark.parametrize("routes", [[], [OTHERS], [OTHERS | {"continue": True}]])
def test_a_notification_that_no_route_matches_is_unrouted_and_not_completed(
    sender: Sender, routes: list[Any]
) -> None:
    sender.database.apply_config(routes=routes)
    tokens = sender.skip(2)
    assert sender.plan() == 2
    assert sender.notifications() == [(False, []), (False, [])]
    assert unrouted(sender) == tokens
    assert sender.plan() == 0
    (row,) = sender.database.rows("select * from scooters_ops.delivery_status")
    assert (row["channel"], row["state"], row["recipients"]) == (None, "unrouted", 2)
    assert (row["is_stuck"], row["is_lower_bound"]) == (False, False)
    assert row["oldest_created_at"] == sender.database.value(
        "select min(created_at) from scooters_ops.notifications"
    )


def test_retry_routes_unrouted_notifications_again_and_counts_them_once(sender: Sender) -> None:
    sender.database.apply_config(routes=[OTHERS])
    tokens = sender.skip(3)
    sender.plan()
    assert sender.retry(tokens[0]) == 0  # still no route matches
    assert unrouted(sender) == tokens

    sender.route(TELEGRAM, TICKET)
    assert sender.retry(channel="telegram") == 0  # they have no channel yet
    assert sender.retry(tokens[0]) == 1
    assert unrouted(sender) == tokens[1:]
    assert sender.notifications()[0] == (
        False,
        [{**TELEGRAM, "sended": False}, {**TICKET, "sended": False}],
    )

    sender.database.apply_config(routes=[{"match": {}, "recipients": []}])
    assert sender.retry() == 2
    assert unrouted(sender) == []
    assert [completed for completed, _ in sender.notifications()] == [False, True, True]
    assert sender.retry() == 0
    assert [row["channel"] for row in sender.lease()] == ["telegram", "st"]
    assert planned_totals(sender)["job_skipped"] == 3


def planned_totals(sender: Sender) -> dict[str, int]:
    rows = sender.call("planned_totals")
    return {row["type"]: row["planned"] for row in rows}


def test_a_failed_plan_does_not_count_and_pruning_subtracts_nothing(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip(2)
    assert sender.plan() == 2
    assert planned_totals(sender) == {
        "job_skipped": 2,
        "timeout_between_points": 0,
        "timeout_in_point": 0,
    }
    sender.database.connection.execute("delete from scooters_ops.monitoring_notifications")
    sender.database.create_mission("m3", 1)
    sender.database.value("select scooters_ops.skip_job('m3', 'p1', 'j1')")
    sender.database.connection.execute(
        "update scooters_ops.configs set config = jsonb_set(config, '{routes,0,recipients}', '3')"
    )
    with pytest.raises(psycopg.Error):
        sender.plan()
    assert planned_totals(sender)["job_skipped"] == 2


def test_an_upgrade_keeps_the_counts_of_an_earlier_version(sender: Sender) -> None:
    """Earlier versions counted in a table, with several rows for each type."""
    own = sender.database.connection
    own.execute(
        "create table scooters_ops.notification_counts"
        " (type scooters_ops.monitoring_notification_type, planned bigint);"
        " insert into scooters_ops.notification_counts"
        " values ('job_skipped', 40), ('job_skipped', 2), ('timeout_in_point', 0)"
    )
    own.execute((SQL / "delivery" / "move_notification_counts.sql").read_bytes())
    sender.route(TELEGRAM)
    sender.skip()
    assert sender.plan() == 1
    assert planned_totals(sender) == {
        "job_skipped": 43,
        "timeout_between_points": 0,
        "timeout_in_point": 0,
    }
    assert sender.database.value("select to_regclass('scooters_ops.notification_counts')") is None


def test_without_a_config_notifications_wait_for_one(sender: Sender) -> None:
    sender.database.connection.execute("delete from scooters_ops.configs")
    sender.skip()
    assert sender.plan() == 0
    sender.route(TELEGRAM)
    assert sender.plan() == 1
    assert sender.notifications() == [(False, [{**TELEGRAM, "sended": False}])]


def test_two_concurrent_planners_plan_each_notification_once_and_do_not_wait(
    sender: Sender, other: Sender
) -> None:
    sender.route(TELEGRAM, TICKET)
    sender.skip(5)
    with sender.connection.transaction():
        assert sender.plan(3) == 3
        other.connection.execute("set statement_timeout = '5s'")
        assert other.plan() == 2
    assert other.plan() == 0
    assert len(sender.recipients()) == 10


def test_many_concurrent_planners_plan_each_notification_once(sender: Sender) -> None:
    sender.route(TELEGRAM, TICKET)
    sender.skip(40)

    def plan(_: int) -> int:
        with sender.database.connect(role=NOTIFIER) as connection:
            counts: list[int] = []
            while not counts or counts[-1]:
                row = connection.execute("select scooters_ops.plan_deliveries(3)").fetchone()
                assert row is not None
                counts.append(row[0])
            return sum(counts)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(plan, range(4))) == 40
    assert len(sender.recipients()) == 80


# --- Lease -------------------------------------------------------------------------------------


def test_a_lease_returns_the_recipient_and_the_notification(sender: Sender) -> None:
    sender.route(TELEGRAM)
    (token,) = sender.skip()
    sender.plan()
    (row,) = sender.lease()
    assert (row["channel"], row["target"], row["attempts"]) == ("telegram", TELEGRAM, 1)
    assert row["is_in_doubt"] is False
    assert row["idempotency_token"] == token
    assert (row["type"], row["mission_id"], row["point_id"], row["job_id"]) == (
        "job_skipped",
        "m1",
        "p1",
        "j1",
    )
    assert row["details"]["attributes"] == {"city": "Moscow"}
    leased = sender.recipient()
    assert (leased["state"], leased["leased_by"], leased["attempts"]) == ("sending", "w1", 1)
    assert 59 < sender.wait_seconds() <= 60


def test_each_channel_gives_no_more_than_its_slots(sender: Sender) -> None:
    sender.route(TELEGRAM, TICKET)
    sender.skip(4)
    sender.plan()
    assert [row["channel"] for row in sender.lease({"telegram": 1, "st": 3})].count("st") == 3
    assert len(sender.lease({"telegram": 0, "st": 0})) == 0
    assert [row["channel"] for row in sender.lease({"telegram": 2})] == ["telegram"] * 2
    assert sender.lease({}) == []
    assert sender.lease({"pigeon": 5}) == []


@pytest.mark.slow
def test_a_crowd_waiting_for_one_channel_does_not_block_another(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    sender.database.connection.execute(
        "insert into scooters_ops.notification_recipients"
        " (notification_id, channel, target, next_attempt_at)"
        " select notification_id, 'st', jsonb_build_object('queue', n), now() - interval '1 day'"
        " from scooters_ops.monitoring_notifications cross join generate_series(1, 5000) as n"
    )
    assert [row["target"] for row in sender.lease({"st": 0, "telegram": 10})] == [TELEGRAM]
    sender.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set state = 'pending', leased_by = null where channel = 'telegram'"
    )
    sender.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = now() where channel = 'telegram'"
    )
    leased = sender.lease({"st": 10, "telegram": 10})
    assert [row["channel"] for row in leased].count("telegram") == 1
    assert len(leased) == 11


def test_recipients_that_are_due_longest_come_first(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip(3)
    sender.plan()
    sender.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = now() - recipient_id * interval '1 minute'"
    )
    leased = [sender.lease({"telegram": 1})[0]["mission_id"] for _ in range(3)]
    assert leased == ["m3", "m2", "m1"]


def test_two_concurrent_notifiers_lease_different_rows(sender: Sender, other: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip(6)
    sender.plan()
    with ThreadPoolExecutor() as pool:
        with sender.connection.transaction():
            mine = sender.lease({"telegram": 4}, worker="w1")
            with waiting_for(sender.database, 1):
                waiting = pool.submit(other.lease, {"telegram": 4}, worker="w2")
        theirs = waiting.result()
    assert (len(mine), len(theirs)) == (4, 2)
    assert len({row["recipient_id"] for row in mine + theirs}) == 6


def test_leases_of_different_channels_do_not_wait_for_each_other(
    sender: Sender, other: Sender
) -> None:
    sender.route(TELEGRAM, TICKET)
    sender.skip()
    sender.plan()
    other.connection.execute("set statement_timeout = '5s'")
    with sender.connection.transaction():
        assert len(sender.lease({"telegram": 4}, worker="w1")) == 1
        assert len(other.lease({"st": 4}, worker="w2")) == 1


def test_each_recipient_of_each_notification_has_its_own_key_that_never_changes(
    sender: Sender,
) -> None:
    topic = {**TELEGRAM, "message_thread_id": 7}
    sender.route(TELEGRAM, topic, TICKET, {"type": "st", "queue": "LEADS"})
    sender.skip(2)
    sender.plan()
    leased = sender.lease()
    assert [row["idempotency_key"] for row in leased] == [
        f"m{number}_p1_j1_job_skipped/{recipient}/alert"
        for number in (1, 2)
        for recipient in (
            "telegram/-1001",
            'telegram/-1001/{"message_thread_id": 7}',
            "st/DUTY",
            "st/LEADS",
        )
    ]
    keys = {row["recipient_id"]: row["idempotency_key"] for row in leased}
    # A move of the chat and a retry by a person do not change it either.
    sender.record(*(result(row, "failed", moved_to={"chat_id": -7}) for row in leased[:1]))
    sender.record(*(result(row, "pending") for row in leased[1:]))
    sender.retry()
    again = sender.lease(worker="w2")
    assert again[0]["target"]["chat_id"] == -7
    assert {row["recipient_id"]: row["idempotency_key"] for row in again} == keys


def test_a_recipient_that_was_tried_before_an_upgrade_keeps_its_key(
    sender: Sender,
) -> None:
    """Earlier versions used the token as the key, so a ticket with that key may exist."""
    sender.route(TICKET)
    tokens = sender.skip(6)
    sender.plan()
    tried = sender.lease({"st": 5})
    for row, state in zip(tried, ("pending", "in_doubt", "failed", "failed"), strict=False):
        sender.record(result(row, state, error="no answer came"))
    sender.retry(tokens[3])  # it counts its attempts from 0 again
    sender.database.connection.execute(
        "update scooters_ops.notification_recipients set idempotency_key = null"
    )

    migration = (MIGRATIONS / "0012_delivery_states.sql").read_text("utf-8")
    (fill_in,) = (part for part in migration.split(";\n") if "set idempotency_key" in part)
    sender.database.connection.execute(fill_in)

    sender.retry()
    sender.release()
    keys = {row["idempotency_token"]: row["idempotency_key"] for row in sender.lease(worker="w2")}
    assert keys == {token: token for token in tokens[:5]} | {
        tokens[5]: f"{tokens[5]}/st/DUTY/alert"
    }


def test_a_lease_lasts_until_it_expires_and_then_comes_back_in_doubt(
    sender: Sender, other: Sender
) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    assert len(sender.lease(seconds=60)) == 1
    assert other.lease(worker="w2") == []
    sender.database.connection.execute(
        "update scooters_ops.notification_recipients set next_attempt_at = now()"
    )
    (row,) = other.lease(worker="w2")
    assert (row["is_in_doubt"], row["attempts"]) == (True, 2)
    assert sender.recipient()["leased_by"] == "w2"


def test_a_worker_does_not_get_its_own_expired_lease(sender: Sender, other: Sender) -> None:
    """It knows that it did not send the message, but would have to treat it as in doubt."""
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    assert len(sender.lease(seconds=0, worker="w1")) == 1
    assert sender.lease(worker="w1") == []
    assert [row["is_in_doubt"] for row in other.lease(worker="w2")] == [True]


def test_a_recipient_that_is_due_later_is_not_leased(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease()
    sender.record(result(row, "pending", delay_seconds=60, error="HTTP 500"))
    assert sender.lease() == []
    sender.database.connection.execute(
        "update scooters_ops.notification_recipients set next_attempt_at = now()"
    )
    (row,) = sender.lease()
    assert (row["is_in_doubt"], row["attempts"]) == (False, 2)


@pytest.mark.parametrize("state", ["sent", "failed", "in_doubt"])
def test_a_recipient_with_a_final_state_is_not_leased(sender: Sender, state: str) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease()
    assert sender.record(result(row, state)) == 1
    assert sender.lease() == []


# --- Record ------------------------------------------------------------------------------------


def test_a_success_is_recorded_and_updates_the_notification(sender: Sender) -> None:
    sender.route(TELEGRAM, TICKET)
    sender.skip()
    sender.plan()
    message, ticket = sender.lease()

    assert sender.record(result(message, "sent", reference="99")) == 1
    assert sender.notifications() == [
        (False, [{**TELEGRAM, "sended": True}, {**TICKET, "sended": False}])
    ]
    sent = sender.recipients()[0]
    assert (sent["state"], sent["reference"], sent["leased_by"]) == ("sent", "99", None)
    assert sent["sent_at"] == sender.database.value(
        "select sent_at from scooters_ops.notification_recipients where sent_at <= now()"
    )

    assert sender.record(result(ticket, "sent", reference="DUTY-1")) == 1
    assert sender.notifications() == [
        (True, [{**TELEGRAM, "sended": True}, {**TICKET, "sended": True}])
    ]


def test_a_record_is_all_or_nothing(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease()
    with sender.connection.transaction(force_rollback=True):
        sender.record(result(row, "sent"))
    assert sender.notifications() == [(False, [{**TELEGRAM, "sended": False}])]
    assert sender.recipient()["state"] == "sending"


def test_a_transient_error_delays_the_next_attempt(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease()
    assert sender.record(result(row, "pending", delay_seconds=90.5, error="HTTP 500")) == 1
    waiting = sender.recipient()
    assert (waiting["state"], waiting["attempts"]) == ("pending", 1)
    assert (waiting["last_error"], waiting["leased_by"]) == ("HTTP 500", None)
    assert 89 < sender.wait_seconds() <= 90.5


def test_an_attempt_that_does_not_count_is_given_back(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease()
    sender.record(result(row, "pending", is_attempt=False, error="HTTP 401"))
    assert sender.recipient()["attempts"] == 0
    assert sender.lease()[0]["attempts"] == 1


@pytest.mark.parametrize("state", ["failed", "in_doubt"])
def test_a_failure_keeps_the_notification_incomplete(sender: Sender, state: str) -> None:
    sender.route(TELEGRAM, TICKET)
    sender.skip()
    sender.plan()
    message, ticket = sender.lease()
    sender.record(result(message, state, error="why"), result(ticket, "sent"))
    assert sender.notifications() == [
        (False, [{**TELEGRAM, "sended": False}, {**TICKET, "sended": True}])
    ]
    assert sender.recipients()[0]["last_error"] == "why"


@pytest.mark.parametrize("state", ["pending", "failed", "in_doubt"])
def test_a_worker_that_lost_its_lease_changes_nothing(sender: Sender, state: str) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease(seconds=0, worker="slow")
    sender.lease(worker="quick")
    before = sender.recipient()
    assert sender.record(result(row, state, error="late"), worker="slow") == 0
    assert sender.recipient() == before


def test_a_worker_that_lost_its_lease_can_still_record_a_success(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease(seconds=0, worker="slow")
    sender.lease(worker="quick")
    assert sender.record(result(row, "sent", reference="1"), worker="slow") == 1
    assert sender.notifications() == [(True, [{**TELEGRAM, "sended": True}])]
    for state in ("sent", "pending", "failed"):
        assert sender.record(result(row, state, reference="2"), worker="quick") == 0
    assert sender.recipient()["reference"] == "1"


def test_a_failed_recipient_becomes_sent_when_its_success_arrives_late(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease(seconds=0, worker="slow")
    sender.lease(worker="quick")
    sender.record(result(row, "failed", error="gave up"), worker="quick")
    assert sender.record(result(row, "sent", reference="1"), worker="slow") == 1
    assert sender.recipient()["state"] == "sent"


def test_recording_the_same_result_twice_is_harmless(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease()
    for recorded in (1, 0):
        assert sender.record(result(row, "pending", delay_seconds=60)) == recorded
    assert sender.recipient()["attempts"] == 1
    assert sender.record() == 0


def test_the_second_of_two_concurrent_recorders_sees_what_the_first_recorded(
    sender: Sender, other: Sender
) -> None:
    sender.route(TELEGRAM, TICKET)
    sender.skip()
    sender.plan()
    message, ticket = sender.lease()
    later = threading.Thread(target=lambda: other.record(result(ticket, "sent")))
    with sender.connection.transaction():
        sender.record(result(message, "sent"))
        with waiting_for(sender.database, 1):
            later.start()
    later.join()
    assert sender.notifications() == [
        (True, [{**TELEGRAM, "sended": True}, {**TICKET, "sended": True}])
    ]


def test_recording_the_same_rows_in_opposite_orders_does_not_deadlock(
    sender: Sender,
) -> None:
    sender.route(TELEGRAM, TICKET, OTHER_CHAT)
    sender.skip(30)
    sender.plan()
    rows = sender.lease()

    def record(part: list[dict[str, Any]]) -> int:
        with sender.database.connect(role=NOTIFIER) as connection:
            row = connection.execute(
                "select scooters_ops.record_deliveries('w1', %s)",
                (json.dumps([result(each, "sent") for each in part]),),
            ).fetchone()
            assert row is not None
            return int(row[0])

    parts = [rows[0::3], rows[1::3][::-1], rows[2::3], rows[::-1]]
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(record, parts)) == 90
    assert all(completed for completed, _ in sender.notifications())


# --- Renew -------------------------------------------------------------------------------------


def test_a_renewed_lease_lasts_from_now(sender: Sender, other: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease(seconds=0)
    assert sender.renew(row["recipient_id"], seconds=60) == [row["recipient_id"]]
    assert 59 < sender.wait_seconds() <= 60
    assert other.lease(worker="w2") == []
    assert (sender.recipient()["state"], sender.recipient()["attempts"]) == ("sending", 1)


def test_only_leases_that_are_still_held_are_renewed(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip(3)
    sender.plan()
    ids = {row["recipient_id"] for row in sender.lease(seconds=0)}
    recorded = ids.pop()
    sender.record(result({"recipient_id": recorded}, "pending", delay_seconds=60))
    (taken,) = sender.lease({"telegram": 1}, worker="w2")
    (held,) = ids - {taken["recipient_id"]}
    before = sender.recipients()
    assert sender.renew(recorded, taken["recipient_id"], held, 999) == [held]
    changed = [
        now["recipient_id"]
        for now, then in zip(sender.recipients(), before, strict=True)
        if now != then
    ]
    assert changed == [held]


# --- Release -----------------------------------------------------------------------------------


def test_a_released_recipient_is_due_at_once_and_its_attempt_does_not_count(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease()
    sender.record(result(row, "pending", error="HTTP 500"))
    sender.lease()
    assert sender.release() == 1
    given_back = sender.recipient()
    assert (given_back["state"], given_back["leased_by"]) == ("pending", None)
    assert (given_back["attempts"], given_back["last_error"]) == (1, "HTTP 500")
    (row,) = sender.lease(worker="w2")
    assert (row["attempts"], row["is_in_doubt"]) == (2, False)
    assert sender.release() == 0


def test_release_gives_back_the_workers_own_leases_except_the_kept_ones(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip(4)
    sender.plan()
    kept, _ = sender.lease({"telegram": 2})
    sender.lease({"telegram": 1}, worker="w2")
    assert sender.release(kept["recipient_id"]) == 1
    assert [row["leased_by"] for row in sender.recipients()] == ["w1", None, "w2", None]


def test_a_released_recipient_that_was_taken_over_stays_in_doubt(
    sender: Sender, other: Sender
) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    sender.lease(seconds=0, worker="killed")
    assert sender.lease()[0]["is_in_doubt"] is True
    assert sender.release() == 1
    assert sender.release() == 0
    assert (sender.recipient()["state"], sender.recipient()["leased_by"]) == ("pending", None)
    (row,) = other.lease(worker="w2")
    assert (row["attempts"], row["is_in_doubt"]) == (2, True)
    # It may have been sent before, whatever became of this attempt.
    other.record(result(row, "pending"), worker="w2")
    sender.lease()
    assert sender.release() == 1
    (row,) = sender.lease()
    assert row["is_in_doubt"] is True
    # A person settles the doubt.
    sender.record(result(row, "in_doubt"))
    sender.database.value("select scooters_ops.retry_deliveries()")
    assert sender.lease()[0]["is_in_doubt"] is False


# --- Connections -------------------------------------------------------------------------------


def test_release_moves_kept_leases_to_the_next_connection_and_gives_the_others_back(
    sender: Sender,
) -> None:
    sender.route(TELEGRAM)
    sender.skip(4)
    sender.plan()
    known, lost = sender.lease({"telegram": 2}, worker="n#01")
    sender.lease({"telegram": 1}, worker="other#01")
    (own,) = sender.lease({"telegram": 1}, worker="n#02")
    assert sender.release(known["recipient_id"], own["recipient_id"], worker="n#02") == 1
    assert [row["leased_by"] for row in sender.recipients()] == ["n#02", None, "other#01", "n#02"]
    assert sender.record(result(known, "pending", delay_seconds=60), worker="n#02") == 1
    # The answer to its lease was lost, so it was never sent.
    (again,) = sender.lease(worker="n#02")
    assert (again["recipient_id"], again["attempts"]) == (lost["recipient_id"], 1)
    assert again["is_in_doubt"] is False


def test_a_lease_that_its_own_notifier_does_not_keep_is_given_back(sender: Sender) -> None:
    """A notifier never leases what it holds itself, so the row would wait as long as it runs."""
    sender.route(TELEGRAM)
    sender.skip(2)
    sender.plan()
    known, forgotten = sender.lease(seconds=0, worker="n#01")
    assert sender.lease(worker="n#01") == []
    assert sender.release(known["recipient_id"], worker="n#01") == 1
    (again,) = sender.lease(worker="n#01")
    assert again["recipient_id"] == forgotten["recipient_id"]
    assert (again["attempts"], again["is_in_doubt"]) == (1, False)


def test_late_statements_of_a_lost_connection_do_not_change_current_leases(
    sender: Sender,
) -> None:
    """Whichever statement the server runs late, the row must not be sent twice."""
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    (row,) = sender.lease(worker="n#02")
    before = sender.recipient()
    assert sender.release(worker="n#01") == 0
    assert sender.record(result(row, "pending", error="HTTP 500"), worker="n#01") == 0
    assert sender.renew(row["recipient_id"], seconds=999, worker="n#01") == []
    assert sender.recipient() == before


def test_a_lease_that_a_lost_connection_had_taken_over_stays_in_doubt_when_released(
    sender: Sender,
) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    sender.lease(seconds=0, worker="killed#01")
    assert sender.lease(worker="n#01")[0]["is_in_doubt"] is True
    assert sender.release(worker="n#02") == 1
    assert [row["is_in_doubt"] for row in sender.lease(worker="n#02")] == [True]


# --- Retry -------------------------------------------------------------------------------------


@pytest.fixture
def mixed(sender: Sender) -> Sender:
    """m1: message failed, ticket sent. m2: message in doubt, ticket failed."""
    sender.route(TELEGRAM, TICKET)
    sender.skip(2)
    sender.plan()
    states = ["failed", "sent", "in_doubt", "failed"]
    sender.record(
        *(
            result(row, state, error=None if state == "sent" else f"was {state}")
            for row, state in zip(sender.lease(), states, strict=True)
        )
    )
    return sender


def states(sender: Sender) -> list[tuple[str, int]]:
    return [(row["state"], row["attempts"]) for row in sender.recipients()]


def test_retry_revives_one_notification_and_leaves_sent_recipients_alone(mixed: Sender) -> None:
    assert mixed.retry("m1_p1_j1_job_skipped") == 1
    assert states(mixed) == [("pending", 0), ("sent", 1), ("in_doubt", 1), ("failed", 1)]
    assert [row["target"] for row in mixed.lease()] == [TELEGRAM]


def test_retry_without_a_token_revives_all(mixed: Sender) -> None:
    assert mixed.retry() == 3
    assert states(mixed) == [("pending", 0), ("sent", 1), ("pending", 0), ("pending", 0)]
    assert mixed.retry() == 0
    # last_error still says why it was not sent.
    assert mixed.recipients()[0]["last_error"] == "was failed"


def test_retry_leaves_leased_and_waiting_recipients_alone(sender: Sender) -> None:
    sender.route(TELEGRAM, TICKET)
    sender.skip()
    sender.plan()
    message, _ = sender.lease()
    sender.record(result(message, "pending", delay_seconds=60))
    assert sender.retry("m1_p1_j1_job_skipped") == 0
    assert states(sender) == [("pending", 1), ("sending", 1)]
    assert sender.lease() == []


def test_an_error_names_an_unknown_token(mixed: Sender) -> None:
    with pytest.raises(psycopg.errors.NoDataFound) as refusal:
        mixed.retry("m9_p1__timeout_in_point")
    assert refusal.value.diag.message_primary == 'no notification "m9_p1__timeout_in_point"'
    assert states(mixed)[0] == ("failed", 1)


def test_retry_can_be_limited_to_one_channel(mixed: Sender) -> None:
    assert mixed.retry(channel="st") == 1
    assert states(mixed) == [("failed", 1), ("sent", 1), ("in_doubt", 1), ("pending", 0)]
    assert mixed.retry("m2_p1_j1_job_skipped", "telegram") == 1
    assert mixed.retry("m1_p1_j1_job_skipped", "st") == 0
    assert states(mixed) == [("failed", 1), ("sent", 1), ("pending", 0), ("pending", 0)]


@pytest.mark.parametrize("function", ["retry", "confirm"])
def test_an_error_names_an_unknown_channel(mixed: Sender, function: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refusal:
        getattr(mixed, function)("m2_p1_j1_job_skipped", "pigeon")
    assert refusal.value.diag.message_primary == 'no channel "pigeon"'
    assert states(mixed)[2:] == [("in_doubt", 1), ("failed", 1)]


def test_confirm_records_in_doubt_recipients_as_sent_and_updates_the_notification(
    mixed: Sender,
) -> None:
    mixed.record(result(mixed.recipients()[3], "sent", reference="DUTY-2"))
    assert mixed.notifications()[1][0] is False
    assert mixed.confirm("m2_p1_j1_job_skipped") == 1
    assert states(mixed) == [("failed", 1), ("sent", 1), ("sent", 1), ("sent", 1)]
    assert mixed.notifications() == [
        (False, [{**TELEGRAM, "sended": False}, {**TICKET, "sended": True}]),
        (True, [{**TELEGRAM, "sended": True}, {**TICKET, "sended": True}]),
    ]
    # An audit can see that the channel itself never confirmed it.
    confirmed = mixed.recipients()[2]
    assert (confirmed["reference"], confirmed["last_error"]) == (None, "was in_doubt")
    assert confirmed["sent_at"] is not None
    assert mixed.confirm("m2_p1_j1_job_skipped") == 0


def test_confirm_changes_only_in_doubt_recipients(mixed: Sender) -> None:
    assert mixed.confirm("m1_p1_j1_job_skipped") == 0
    assert mixed.confirm("m2_p1_j1_job_skipped", "st") == 0
    assert states(mixed) == [("failed", 1), ("sent", 1), ("in_doubt", 1), ("failed", 1)]


def test_confirm_needs_the_token_of_a_notification(mixed: Sender) -> None:
    with pytest.raises(psycopg.errors.NoDataFound, match='no notification "m9"'):
        mixed.confirm("m9")
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        mixed.confirm(None)
    assert states(mixed)[2] == ("in_doubt", 1)


def test_retry_locks_rows_in_the_same_order_as_recording(sender: Sender, other: Sender) -> None:
    """While another session holds the first row, retry waits for it and holds no later row."""
    sender.route(TELEGRAM, TICKET)
    sender.skip()
    sender.plan()
    sender.record(*(result(row, "failed") for row in sender.lease()))
    # In index order the ticket, which is the second row, would come first.
    for setting in ("enable_seqscan", "enable_bitmapscan"):
        other.connection.execute(f"set {setting} = off")
    revive = threading.Thread(target=lambda: other.retry())
    with sender.database.connect() as holder, holder.transaction():
        holder.execute(
            "select from scooters_ops.notification_recipients where recipient_id = 1 for update"
        )
        with waiting_for(sender.database, 1):
            revive.start()
        assert sender.database.values(
            "select recipient_id from scooters_ops.notification_recipients"
            " order by recipient_id for update skip locked"
        ) == [2]
    revive.join()
    assert states(sender) == [("pending", 0), ("pending", 0)]


# --- Views -------------------------------------------------------------------------------------


def test_notification_deliveries_shows_each_recipient(mixed: Sender) -> None:
    mixed.retry("m1_p1_j1_job_skipped")
    with mixed.database.connect(role="scooters_ops_analyst") as analyst:
        rows = (
            analyst.cursor(row_factory=dict_row)
            .execute(
                "select * from scooters_ops.notification_deliveries"
                " order by mission_id, channel desc"
            )
            .fetchall()
        )
    assert [
        (row["mission_id"], row["channel"], row["state"], row["sended"], row["last_error"])
        for row in rows
    ] == [
        ("m1", "telegram", "pending", False, "was failed"),
        ("m1", "st", "sent", True, None),
        ("m2", "telegram", "in_doubt", False, "was in_doubt"),
        ("m2", "st", "failed", False, "was failed"),
    ]
    assert [row["next_attempt_at"] is not None for row in rows] == [True, False, False, False]
    assert [row["sent_at"] is not None for row in rows] == [False, True, False, False]
    assert rows[1]["target"] == TICKET


def test_delivery_status_counts_unsent_recipients(mixed: Sender) -> None:
    mixed.database.create_mission("m3", 1)
    mixed.database.create_mission("m4", 1)
    mixed.database.value("select scooters_ops.skip_job('m3', 'p1', 'j1')")
    mixed.plan()
    (row,) = mixed.lease({"telegram": 1})
    mixed.record(result(row, "pending", delay_seconds=60, error="HTTP 500"))
    mixed.lease({"st": 1})
    mixed.database.value("select scooters_ops.skip_job('m4', 'p1', 'j1')")
    with mixed.database.connect(role=NOTIFIER) as notifier:
        rows = notifier.execute(
            "select channel, state, recipients, sample_error from scooters_ops.delivery_status"
            " order by channel, state"
        ).fetchall()
    assert rows == [
        ("st", "failed", 1, "was failed"),
        ("st", "sending", 1, None),
        ("telegram", "failed", 1, "was failed"),
        ("telegram", "in_doubt", 1, "was in_doubt"),
        ("telegram", "retrying", 1, "HTTP 500"),
        (None, "unplanned", 1, None),
    ]


def test_delivery_status_is_empty_when_everything_is_sent(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip()
    sender.plan()
    sender.record(*(result(row, "sent") for row in sender.lease()))
    assert sender.database.rows("select * from scooters_ops.delivery_status") == []


# --- Wake-up -----------------------------------------------------------------------------------


def test_only_changes_that_concern_notifiers_wake_them(
    mixed: Sender,
) -> None:
    with mixed.database.connect(role=NOTIFIER) as listener:
        listener.execute("listen scooters_ops")

        def is_woken() -> bool:
            return bool(list(listener.notifies(timeout=0.05)))

        mixed.database.create_mission("m3")
        mixed.database.record("mission_started", 0, mission_id="m3")
        assert not is_woken()

        with mixed.database.connection.transaction():
            mixed.database.value("select scooters_ops.skip_job('m3', 'p1', 'j1')")
            assert not is_woken()
        until(is_woken)

        mixed.database.detect(600)
        assert len(mixed.database.tokens()) == 4
        until(is_woken)

        mixed.retry()
        until(is_woken)

        assert mixed.release() == 0
        mixed.lease()
        assert not is_woken()
        assert mixed.release() > 0
        until(is_woken)

        mixed.database.apply_config(notifier__locale="ru")
        until(is_woken)


def test_what_no_notifier_plans_or_leases_is_stuck(database: TestDatabase) -> None:
    def stuck() -> list[tuple[str, bool]]:
        rows = database.rows("select state, is_stuck from scooters_ops.delivery_status")
        return [(row["state"], row["is_stuck"]) for row in rows]

    def wait_in_vain(table: str, column: str) -> None:
        database.connection.execute(
            f"update scooters_ops.{table} set {column} = {column} - interval '301 seconds'"
        )

    database.create_mission()
    database.value("select scooters_ops.skip_job('m1', 'p1', 'j1')")
    assert stuck() == [("unplanned", False)]
    wait_in_vain("monitoring_notifications", "created_at")
    assert stuck() == [("unplanned", True)]
    database.value("select scooters_ops.plan_deliveries(10)")
    assert stuck() == [("pending", False)]
    wait_in_vain("notification_recipients", "next_attempt_at")
    assert stuck() == [("pending", True)]


@pytest.mark.parametrize(
    ("channel", "address", "is_stuck"),
    [
        ("telegram", "-1001", False),
        ("telegram", "", False),
        ("telegram", "-1002", True),
        ("st", "", True),
    ],
)
def test_recipients_on_hold_or_of_a_paused_channel_are_not_stuck(
    database: TestDatabase, channel: str, address: str, is_stuck: bool
) -> None:
    database.create_mission()
    database.value("select scooters_ops.skip_job('m1', 'p1', 'j1')")
    database.value("select scooters_ops.plan_deliveries(10)")
    database.connection.execute(
        "update scooters_ops.notification_recipients set next_attempt_at = now() - interval '1 h'"
    )
    database.connection.execute(
        "insert into scooters_ops.delivery_targets (channel, address, held_until)"
        " values (%s, %s, now() + interval '1 min')"
        " on conflict (address, channel) do update set held_until = excluded.held_until",
        (channel, address),
    )
    assert database.values("select is_stuck from scooters_ops.delivery_status") == [is_stuck]


def test_recipient_status_counts_by_channel_address_and_state(database: TestDatabase) -> None:
    chats = [{"type": "telegram", "chat_id": -number} for number in (1, 2)]
    queue = {"type": "st", "queue": "DUTY"}
    database.apply_config(routes=[{"match": {}, "recipients": [*chats, queue]}])
    database.create_mission()
    for point in ("p1", "p2", "p3"):
        database.value("select scooters_ops.skip_job('m1', %s, 'j1')", point)
    database.value("select scooters_ops.plan_deliveries(10)")
    database.connection.execute(
        "update scooters_ops.notification_recipients set attempts = 1"
        " where target @> '{\"chat_id\": -1}' and notification_id = 1"
    )
    for state, target in (("failed", '{"chat_id": -2}'), ("in_doubt", '{"queue": "DUTY"}')):
        database.connection.execute(
            "update scooters_ops.notification_recipients set state = %s, last_error = 'why'"
            " where target @> %s and notification_id > 1",
            (state, target),
        )
    rows = database.rows(
        "select channel, address, state, recipients, sample_error, is_lower_bound"
        " from scooters_ops.recipient_status order by channel, address desc, state"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("st", "DUTY", "in_doubt", 2, "why", False),
        ("st", "DUTY", "pending", 1, None, False),
        ("telegram", "-2", "failed", 2, "why", False),
        ("telegram", "-2", "pending", 1, None, False),
        ("telegram", "-1", "pending", 2, None, False),
        ("telegram", "-1", "retrying", 1, None, False),
    ]
    rows = database.rows(
        "select channel, state, recipients from scooters_ops.delivery_status"
        " order by channel, state"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("st", "in_doubt", 2),
        ("st", "pending", 1),
        ("telegram", "failed", 2),
        ("telegram", "pending", 3),
        ("telegram", "retrying", 1),
    ]
