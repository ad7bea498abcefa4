"""Rate limits, holds and moves of channels, chats and queues. All notifiers together keep to the
limits, and a chat that is on hold does not delay another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.resources import MIGRATIONS
from tests.conftest import TestDatabase
from tests.test_delivery_functions import (
    BOTH,
    OTHER_CHAT,
    TELEGRAM,
    TICKET,
    Sender,
    result,
    waiting_for,
)

NO_RATES: dict[str, Any] = {"per_channel": [], "per_target": [], "per_group": []}
RETRY = {"first_seconds": 5, "factor": 2, "max_seconds": 15, "give_up_after_attempts": 12}


@pytest.fixture
def sender(database: TestDatabase) -> Iterator[Sender]:
    made = Sender(database)
    yield made
    made.connection.close()


def rate(messages: int, seconds: float) -> dict[str, float]:
    return {"messages": messages, "seconds": seconds}


def limit(sender: Sender, **limits: Any) -> None:
    """Routes everything to one group; Telegram has only these limits."""
    telegram = {**NO_RATES, "in_flight_per_target": None, **limits}
    sender.route(TELEGRAM, channels__telegram__limits=telegram)


def wait_for(sender: Sender, channel: str, address: str, count: int) -> None:
    """Adds `count` recipients that wait for that chat or queue."""
    key = "queue" if channel == "st" else "chat_id"
    sender.database.connection.execute(
        "with noticed as ("
        " insert into scooters_ops.monitoring_notifications"
        " (idempotency_token, mission_id, type, planned_at)"
        " select gen_random_uuid(), 'm', 'job_skipped', now() from generate_series(1, %s)"
        " returning notification_id)"
        " insert into scooters_ops.notification_recipients (notification_id, channel, target)"
        " select notification_id, %s, jsonb_build_object(%s::text, %s::text) from noticed",
        (count, channel, key, address),
    )


def pass_time(sender: Sender, seconds: float) -> None:
    """Moves all times of delivery back, as if so many seconds had passed."""
    sender.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = next_attempt_at - make_interval(secs => %s)",
        (seconds,),
    )
    pass_time_of_targets(sender, seconds)


def pass_time_of_targets(sender: Sender, seconds: float) -> None:
    """The same for the times of channels, chats and queues only."""
    sender.database.connection.execute(
        "update scooters_ops.delivery_targets set"
        " held_until = held_until - make_interval(secs => %(s)s),"
        " leased_at = leased_at - make_interval(secs => %(s)s),"
        " leased_due_at = leased_due_at - make_interval(secs => %(s)s),"
        " granted_at = array("
        "  select earlier - make_interval(secs => %(s)s) from unnest(granted_at) as earlier"
        " )",
        {"s": seconds},
    )


def addresses(leased: list[dict[str, Any]]) -> list[str]:
    return sorted(str(row["target"].get("chat_id", row["target"].get("queue"))) for row in leased)


def upcoming(sender: Sender) -> tuple[float | None, bool]:
    """Seconds until the next message can be leased, and whether one waits only for a limit."""
    (row,) = sender.call("next_delivery", list(BOTH))
    seconds = row["wait_seconds"]
    return (None if seconds is None else round(float(seconds)), row["is_limited"])


# --- Limits ------------------------------------------------------------------------------------


def test_each_chat_gets_no_more_than_its_own_limit(sender: Sender) -> None:
    limit(sender, per_target=[rate(2, 10)])
    wait_for(sender, "telegram", "-1", 5)
    wait_for(sender, "telegram", "-2", 1)
    assert addresses(sender.lease()) == ["-1", "-1", "-2"]
    assert sender.lease() == []
    pass_time(sender, 9)
    assert sender.lease() == []
    pass_time(sender, 2)
    assert addresses(sender.lease()) == ["-1", "-1"]


def test_the_limit_for_groups_applies_only_to_groups_and_public_channels(sender: Sender) -> None:
    limit(sender, per_group=[rate(1, 60)])
    for chat in ("-1", "@news", "5"):
        wait_for(sender, "telegram", chat, 3)
    assert addresses(sender.lease()) == ["-1", "5", "5", "5", "@news"]


def test_a_channel_has_a_limit_over_all_its_chats(sender: Sender) -> None:
    limit(sender, per_channel=[rate(3, 10)])
    for chat in range(1, 6):
        wait_for(sender, "telegram", str(chat), 1)
    wait_for(sender, "st", "DUTY", 2)
    assert addresses(sender.lease()) == ["1", "2", "3", "DUTY", "DUTY"]
    pass_time(sender, 11)
    assert addresses(sender.lease()) == ["4", "5"]


def test_limits_apply_to_all_notifiers_together(sender: Sender) -> None:
    limit(sender, per_channel=[rate(3, 10)], per_target=[rate(2, 10)])
    wait_for(sender, "telegram", "1", 9)
    wait_for(sender, "telegram", "2", 9)
    leased = [len(sender.lease({"telegram": 1}, worker=f"w{number}")) for number in range(5)]
    assert leased == [1, 1, 1, 0, 0]


def test_a_lease_counts_what_a_concurrent_lease_was_granted(sender: Sender) -> None:
    limit(sender, per_channel=[rate(3, 10)])
    wait_for(sender, "telegram", "1", 9)
    other = Sender(sender.database)
    with ThreadPoolExecutor() as pool:
        with sender.connection.transaction():
            assert len(sender.lease({"telegram": 2}, worker="w1")) == 2
            with waiting_for(sender.database, 1):
                leasing = pool.submit(other.lease, {"telegram": 9}, worker="w2")
        assert len(leasing.result()) == 1
    other.connection.close()


def test_the_default_limits_are_those_of_telegram(sender: Sender) -> None:
    sender.database.apply_config()
    wait_for(sender, "telegram", "-1", 50)
    for chat in range(1, 51):
        wait_for(sender, "telegram", str(chat), 1)
    leased = sender.lease()
    assert len(leased) == 30
    sent_to_the_group = addresses(leased).count("-1")
    for _ in range(55):
        pass_time(sender, 1.01)
        leased = sender.lease()
        for row in leased:
            sender.record(result(row, "sent", reference="1"))
        sent_to_the_group += addresses(leased).count("-1")
    assert sent_to_the_group == 20


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    per_channel=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 20)), max_size=2),
    per_target=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 20)), max_size=2),
    steps=st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from([1, 3, 100])), min_size=1, max_size=12
    ),
)
def test_no_period_holds_more_messages_than_its_limit(
    sender: Sender,
    per_channel: list[tuple[int, int]],
    per_target: list[tuple[int, int]],
    steps: list[tuple[int, int]],
) -> None:
    with sender.database.connection.transaction(force_rollback=True):
        sender.database.connection.execute("delete from scooters_ops.notification_recipients")
        sender.database.connection.execute(
            "update scooters_ops.delivery_targets set granted_at = '{}'"
        )
        limit(
            sender,
            per_channel=[rate(*each) for each in per_channel],
            per_target=[rate(*each) for each in per_target],
        )
        for chat in ("1", "2", "3"):
            wait_for(sender, "telegram", chat, 20)
        now = 0
        sent: list[tuple[int, str]] = []
        for seconds, slots in steps:
            now += seconds
            pass_time_of_targets(sender, seconds)
            leased = sender.database.rows(
                "select * from scooters_ops.lease_deliveries('w1', %s, 86400)",
                f'{{"telegram": {slots}}}',
            )
            sent += [(now, chat) for chat in addresses(leased)]
        rules: list[tuple[int, int, str | None]] = [(m, s, None) for m, s in per_channel]
        for chat in ("1", "2", "3"):
            rules += [(m, s, chat) for m, s in per_target]
        for messages, seconds, concerned in rules:
            for start, _ in sent:
                within = [
                    chat
                    for at, chat in sent
                    if start <= at < start + seconds and concerned in (None, chat)
                ]
                assert len(within) <= messages
        if not rules:
            assert len(sent) == min(60, sum(slots for _, slots in steps))


def test_a_slow_queue_takes_no_more_than_its_share_of_messages_in_flight(sender: Sender) -> None:
    sender.route(TICKET, channels__st__limits={"in_flight_per_target": 10})
    wait_for(sender, "st", "SLOW", 100)
    first = sender.lease()
    assert addresses(first) == ["SLOW"] * 10
    wait_for(sender, "st", "DUTY", 3)
    assert addresses(sender.lease()) == ["DUTY"] * 3
    assert upcoming(sender)[0] != 0  # not before a message to SLOW has a result
    sender.record(*[result(row, "sent", reference="1") for row in first[:4]])
    assert addresses(sender.lease()) == ["SLOW"] * 4


def test_a_crowd_for_one_chat_leaves_room_for_another_chat(sender: Sender) -> None:
    limit(sender)
    wait_for(sender, "telegram", "-1", 1000)
    wait_for(sender, "telegram", "-2", 1)
    leased = addresses(sender.lease({"telegram": 10}))
    assert "-2" in leased
    assert len(leased) <= 10


def test_a_limits_period_starts_when_the_message_has_arrived_and_not_with_its_lease(
    sender: Sender,
) -> None:
    limit(sender, per_target=[rate(2, 10)], per_channel=[rate(5, 10)])
    wait_for(sender, "telegram", "1", 3)
    wait_for(sender, "telegram", "2", 1)
    first, second, _ = sorted(sender.lease(), key=lambda row: row["target"]["chat_id"])
    pass_time_of_targets(sender, 9)
    sender.record(result(first, "sent", reference="1"))
    pass_time_of_targets(sender, 2)
    (third,) = sender.lease()
    assert sender.database.values(
        "select array(select extract(epoch from now() - earlier)::int from unnest(granted_at)"
        " as earlier) from scooters_ops.delivery_targets"
        " where channel = 'telegram' and address in ('', '1') order by address"
    ) == [[11, 11, 2, 0], [2, 0]]
    sender.record(result(second, "failed"), result(third, "sent", reference="2"))
    pass_time_of_targets(sender, 9)
    wait_for(sender, "telegram", "1", 1)
    assert sender.lease() == []
    pass_time_of_targets(sender, 2)
    assert len(sender.lease()) == 1


# --- Holds -------------------------------------------------------------------------------------


def test_a_chat_that_asks_to_wait_is_on_hold_for_all_notifiers_and_no_other_chat_is(
    sender: Sender,
) -> None:
    sender.route(TELEGRAM, OTHER_CHAT, TICKET)
    sender.skip(2)
    sender.plan()
    row = sender.lease({"telegram": 1})[0]
    sender.record(result(row, "pending", delay_seconds=30, hold_seconds=30, error="HTTP 429"))
    assert addresses(sender.lease(worker="w2")) == ["-1002", "-1002", "DUTY", "DUTY"]
    assert upcoming(sender) == (30, False)
    (hold,) = sender.database.rows("select * from scooters_ops.delivery_holds")
    assert (hold["channel"], hold["address"], hold["reason"], hold["failures"]) == (
        "telegram",
        "-1001",
        "HTTP 429",
        0,
    )
    pass_time(sender, 31)
    assert addresses(sender.lease({"telegram": 9}, worker="w3"))[:2] == ["-1001", "-1001"]
    assert sender.database.rows("select * from scooters_ops.delivery_holds") == []


def test_a_channel_that_refuses_us_is_probed_by_one_message_after_increasing_delays(
    sender: Sender,
) -> None:
    sender.route(TELEGRAM, OTHER_CHAT, TICKET, notifier__retry=RETRY)
    sender.skip(3)
    sender.plan()

    def refused(*leased: dict[str, Any]) -> None:
        sender.record(
            *[
                result(row, "pending", is_attempt=False, error="401", is_channel_refused=True)
                for row in leased
            ]
        )

    first, *others = sender.lease({"telegram": 4})
    refused(first)
    refused(*others)  # messages that were in flight together count once
    assert set(addresses(sender.lease())) == {"DUTY"}
    for failures, seconds in ((1, 5), (2, 10), (3, 15), (4, 15)):
        (hold,) = sender.database.rows("select * from scooters_ops.delivery_holds")
        assert (hold["channel"], hold["address"], hold["failures"]) == ("telegram", None, failures)
        assert upcoming(sender) == (seconds, False)
        pass_time(sender, seconds - 1)
        assert sender.lease() == []
        pass_time(sender, 2)
        (probe,) = sender.lease()
        assert sender.lease(worker="w2") == []
        assert upcoming(sender)[0] != 0  # not before the probe has a result
        refused(probe)
    pass_time(sender, 16)
    (probe,) = sender.lease()
    sender.record(result(probe, "sent", reference="1"))
    assert sender.database.rows("select * from scooters_ops.delivery_holds") == []
    assert len(sender.lease()) == 5


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_an_answer_that_accepts_our_credentials_ends_the_pause_even_if_it_refuses_the_message(
    sender: Sender, state: str
) -> None:
    sender.route(TELEGRAM, notifier__retry=RETRY)
    sender.skip(4)
    sender.plan()
    refused, *others = sender.lease({"telegram": 2})
    sender.record(
        result(refused, "pending", is_attempt=False, error="401", is_channel_refused=True)
    )
    sender.record(result(others[0], "pending", delay_seconds=60, error="not sent: no connection"))
    pass_time(sender, 6)
    (probe,) = sender.lease()
    assert sender.database.value("select failures from scooters_ops.delivery_holds") == 1
    sender.record(
        result(probe, state, delay_seconds=60, error="chat not found", is_channel_accepted=True)
    )
    assert sender.database.rows("select * from scooters_ops.delivery_holds") == []
    assert len(sender.lease()) == 2


def test_a_hold_longer_than_stuck_after_is_called_long(sender: Sender) -> None:
    sender.route(TELEGRAM, OTHER_CHAT)
    sender.skip()
    sender.plan()
    days, minutes = sender.lease()
    sender.record(
        result(days, "pending", delay_seconds=1, hold_seconds=2 * 86400, error="HTTP 429"),
        result(minutes, "pending", delay_seconds=1, hold_seconds=290, error="HTTP 429"),
    )
    holds = "select address, is_long from scooters_ops.delivery_holds order by address"
    assert [tuple(row.values()) for row in sender.database.rows(holds)] == [
        ("-1001", True),
        ("-1002", False),
    ]
    metric = "select value from scooters_ops.metrics where name = 'long_holds' and labels = %s"
    assert sender.database.value(metric, '{"channel": "telegram"}') == 1
    assert sender.database.value(metric, '{"channel": "st"}') == 0


def test_a_message_that_was_never_sent_does_not_count_for_limits(sender: Sender) -> None:
    """A broken template must not use up the limits of other messages."""
    limit(sender, per_target=[rate(2, 60)], per_channel=[rate(3, 60)])
    wait_for(sender, "telegram", "1", 5)
    for _ in range(2):
        leased = sender.lease()
        assert len(leased) == 2
        blocked = {"is_attempt": False, "is_blocked": True, "delay_seconds": 600}
        sender.record(*(result(row, "pending", error="template", **blocked) for row in leased))
    (row,) = sender.lease()
    sender.record(result(row, "sent", reference="1"))
    wait_for(sender, "telegram", "1", 5)
    assert len(sender.lease()) == 1
    (blocked_row,) = sender.database.rows(
        "select recipients, sample_error from scooters_ops.delivery_status where state = 'blocked'"
    )
    assert blocked_row == {"recipients": 4, "sample_error": "template"}


def test_after_an_inconclusive_probe_another_message_is_the_next_probe(
    sender: Sender,
) -> None:
    sender.route(TELEGRAM, notifier__retry=RETRY)
    sender.skip(2)
    sender.plan()
    (row, _) = sender.lease()
    sender.record(result(row, "pending", is_attempt=False, error="401", is_channel_refused=True))
    sender.release()
    pass_time(sender, 6)
    (probe,) = sender.lease()
    sender.record(result(probe, "pending", delay_seconds=60, error="HTTP 500"))
    (other,) = sender.lease()
    assert other["recipient_id"] != probe["recipient_id"]


@pytest.mark.parametrize("fixed_by", ["a new config", "a restart"])
def test_a_paused_channel_is_tried_at_once_after_a_person_fixed_it(
    sender: Sender, fixed_by: str
) -> None:
    sender.route(TELEGRAM, notifier__retry=RETRY)
    sender.skip(2)
    sender.plan()
    leased = sender.lease({"telegram": 1})
    sender.record(
        result(leased[0], "pending", is_attempt=False, error="401", is_channel_refused=True)
    )
    assert sender.lease() == []
    if fixed_by == "a restart":
        sender.call("probe_channels", ["telegram"])
        assert len(sender.lease()) == 1
    else:
        sender.route(TELEGRAM, notifier__poll_seconds=7)
        assert len(sender.lease()) == 2


# --- Moves -------------------------------------------------------------------------------------


def test_a_moved_chat_keeps_its_limits_under_its_new_id(sender: Sender) -> None:
    topic = {**TELEGRAM, "message_thread_id": 7}
    limits = {**NO_RATES, "per_target": [rate(2, 10)]}
    sender.route(TELEGRAM, topic, channels__telegram__limits=limits)
    sender.skip(3)
    sender.plan()
    (row,) = sender.lease({"telegram": 1})
    assert row["target"] == TELEGRAM
    sender.record(result(row, "sent", reference="1", moved_to={"chat_id": -100}))
    pass_time(sender, 11)
    leased = sender.lease()
    assert [row["target"]["chat_id"] for row in leased] == [-100, -100]
    assert topic | {"chat_id": -100} in [row["target"] for row in leased]
    assert sender.lease() == []
    hold = result(leased[0], "pending", delay_seconds=1, hold_seconds=30, error="HTTP 429")
    sender.record(hold)
    assert sender.database.values("select address from scooters_ops.delivery_holds") == ["-100"]
    pass_time(sender, 11)
    assert sender.lease() == []
    # "recipients" keeps the target that the routes named.
    assert sender.notifications()[0][1][0] == TELEGRAM | {"sended": True}


def test_a_chat_that_moves_twice_gets_messages_under_its_latest_id(sender: Sender) -> None:
    sender.route(TELEGRAM)
    sender.skip(3)
    sender.plan()
    for old, new in ((-1001, -100), (-100, -200)):
        (row,) = sender.lease({"telegram": 1})
        assert row["target"]["chat_id"] == old
        sender.record(result(row, "sent", reference="1", moved_to={"chat_id": new}))
    assert [row["target"]["chat_id"] for row in sender.lease()] == [-200]


# --- Status ------------------------------------------------------------------------------------


STUCK = """
select coalesce(bool_or(is_stuck), false) from scooters_ops.delivery_status where state = any(%s)
"""


def is_stuck(sender: Sender, *states: str) -> bool:
    return bool(sender.database.value(STUCK, [*(states or ("pending", "retrying", "sending"))]))


def test_a_row_that_no_notifier_leases_is_stuck_although_others_of_its_chat_are_sent(
    sender: Sender,
) -> None:
    """For example a lease that its holder does not know of: the holder never gets it again."""
    limit(sender)
    wait_for(sender, "telegram", "1", 1)
    assert len(sender.lease(worker="w1", seconds=0)) == 1
    for _ in range(4):
        pass_time(sender, 100)
        wait_for(sender, "telegram", "1", 1)
        (row,) = sender.lease(worker="w1")
        sender.record(result(row, "sent", reference="1"))
    assert is_stuck(sender, "sending")
    assert not is_stuck(sender, "pending", "retrying")


def test_a_chat_that_no_notifier_sends_to_is_stuck_although_others_of_its_channel_are_sent(
    sender: Sender,
) -> None:
    limit(sender)
    wait_for(sender, "telegram", "1", 1)
    lock = "select from scooters_ops.notification_recipients where address = '1' for update"
    with sender.database.connect() as somebody:
        for _ in range(3):
            pass_time(sender, 90)
            assert not is_stuck(sender)
            wait_for(sender, "telegram", "2", 1)
            with somebody.transaction():
                somebody.execute(lock)
                (row,) = sender.lease()
            sender.record(result(row, "sent", reference="1"))
    pass_time(sender, 90)
    assert is_stuck(sender)


def test_a_backlog_that_waits_for_its_turn_is_not_stuck(sender: Sender) -> None:
    """There are more chats than slots, and each waits for longer than stuck_after_seconds."""
    limit(sender)
    for chat in range(1, 21):
        wait_for(sender, "telegram", str(chat), 2)
        pass_time(sender, 1)
    pass_time(sender, 1000)
    assert is_stuck(sender)
    for _ in range(4):
        for row in sender.lease({"telegram": 7}):
            sender.record(result(row, "sent", reference="1"))
        assert not is_stuck(sender)
        pass_time(sender, 60)


def test_messages_are_not_stuck_just_after_a_long_hold_or_limit_ended(sender: Sender) -> None:
    limit(sender, per_target=[rate(1, 10_000)])
    wait_for(sender, "telegram", "1", 3)
    (row,) = sender.lease()
    sender.record(result(row, "pending", delay_seconds=1, hold_seconds=900, error="HTTP 429"))
    pass_time(sender, 910)
    assert not is_stuck(sender)
    pass_time(sender, 8000)
    assert not is_stuck(sender)  # the limit still applies
    pass_time(sender, 2000)
    assert is_stuck(sender)


def test_a_backlog_that_waits_only_for_limits_is_not_stuck(sender: Sender) -> None:
    limit(sender, per_target=[rate(1, 10)])
    wait_for(sender, "telegram", "1", 3)
    pass_time(sender, 1000)
    assert is_stuck(sender, "pending")
    assert len(sender.lease()) == 1
    assert not is_stuck(sender, "pending")
    pass_time(sender, 1000)
    assert is_stuck(sender, "pending")


# --- The next delivery -------------------------------------------------------------------------


def test_without_waiting_messages_there_is_no_next_delivery(sender: Sender) -> None:
    sender.route(TELEGRAM)
    assert upcoming(sender) == (None, False)


def test_the_next_delivery_is_the_earliest_of_all_that_wait(sender: Sender) -> None:
    limit(sender, per_target=[rate(1, 20)])
    wait_for(sender, "telegram", "1", 2)
    assert len(sender.lease(seconds=60)) == 1
    assert upcoming(sender) == (20, True)
    wait_for(sender, "telegram", "2", 1)
    (row,) = sender.lease()
    sender.record(result(row, "pending", delay_seconds=40, error="HTTP 500"))
    pass_time(sender, 15)
    assert upcoming(sender) == (5, True)
    pass_time(sender, 6)
    assert len(sender.lease()) == 1
    assert upcoming(sender) == (19, False)


def test_a_config_from_before_limits_existed_gets_the_defaults(sender: Sender) -> None:
    database = sender.database
    database.apply_config()
    before = database.value("select config from scooters_ops.config_in_force")
    database.connection.execute(
        "update scooters_ops.configs set"
        " config = config #- '{channels,telegram,limits}' #- '{channels,st,limits}'"
    )
    assert "limits" not in database.value("select config::text from scooters_ops.config_in_force")
    migration = (MIGRATIONS / "0004_limits.sql").read_text("utf-8")
    (fill_in,) = (part for part in migration.split(";\n") if "default_limits" in part)
    database.connection.execute(fill_in)
    assert database.value("select config from scooters_ops.config_in_force") == before
