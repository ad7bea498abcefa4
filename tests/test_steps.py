"""What follows the first message: outcomes, escalations, reminders, acknowledgements.

Each test runs the real notifier against the stand-ins, unless what matters is the order of two
transactions: then it calls the SQL functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from notifier.database.values import Notification
from notifier.notification_types import sample_facts, steps_of
from sandbox.standins import Chat
from tests.conftest import TestDatabase, until
from tests.delivery_rigs import GROUP, LOST_GROUP, OTHER_GROUP, TELEGRAM, TICKET, House
from tests.detection_rigs import STAY_AT_P1

BOSS = {"type": "telegram", "chat_id": OTHER_GROUP}
LOST = {"type": "telegram", "chat_id": LOST_GROUP}
LEADS = {"type": "st", "queue": "DUTY"}


def route(*recipients: Mapping[str, Any], **keys: Any) -> list[dict[str, Any]]:
    return [{"match": {}, "recipients": list(recipients), **keys}]


def late(house: House, minutes: float = 8) -> str:
    """A courier who has been at p1 for this long is reported; returns the token."""
    house.database.create_mission(attributes={"city": "Moscow"})
    house.database.record("point_arrived", 0, "p1")
    assert house.database.detect(minutes) == 1
    return STAY_AT_P1


def leaves(house: House, minutes: float = 32) -> None:
    """He leaves p1, and a pass sees it."""
    house.database.record("point_completed", minutes, "p1")
    house.database.detect(minutes + 1)


def acknowledge(house: House, token: str, by: str = "olga") -> bool:
    return bool(house.database.value("select scooters_ops.acknowledge(%s, %s)", token, by))


def steps(house: House) -> dict[tuple[str, str], str]:
    """The state of each step, by channel or other chat, and step."""
    names = {
        str(GROUP): "telegram",
        "DUTY": "st",
        str(OTHER_GROUP): "boss",
        str(LOST_GROUP): "lost",
    }
    return {
        (names[row["address"]], row["step"]): row["state"]
        for row in house.database.rows(
            "select address, step, state from scooters_ops.notification_recipients"
            " order by recipient_id"
        )
    }


def make_due(house: House, *names: str) -> None:
    """Lets the time of these steps come."""
    house.database.connection.execute(
        "update scooters_ops.notification_recipients set next_attempt_at = now()"
        " where step = any(%s)",
        [list(names)],
    )


def shown(house: House, number: int = 0) -> str:
    """What a message says now: as it was sent, or as it was last edited."""
    message = house.telegram.messages[number]
    edits = [edit for edit in house.telegram.edits if edit.message_id == message.message_id]
    return edits[-1].text if edits else message.text


# --- Resolved -------------------------------------------------------------------------------------


def test_the_message_shows_when_he_left_how_long_he_stayed_and_by_how_much_too_long(
    house: House,
) -> None:
    house.configure(TELEGRAM)
    late(house)
    house.run_once()
    leaves(house, 32)
    house.run_once()
    assert len(house.telegram.messages) == 1
    assert "✅ Too long at a point: 32 min, 24 min 30 s over the limit" in shown(house)
    assert "left at 12:32" in shown(house)
    assert shown(house).endswith(STAY_AT_P1)
    (row,) = house.database.rows("select * from scooters_ops.notification_deliveries")
    assert row["sended"]
    (resolved,) = house.database.rows(
        "select * from scooters_ops.notification_steps where step = 'resolved'"
    )
    assert resolved["follows"] is not None
    assert resolved["reference"] == row["reference"]


def test_a_ticket_gets_one_comment_with_the_outcome(house: House) -> None:
    house.configure(TICKET)
    late(house)
    house.run_once()
    leaves(house)
    house.run_once()
    (comment,) = house.tracker.comments
    assert "32 min, 24 min 30 s over the limit" in comment.text


def test_a_ticket_is_closed_if_config_says_so(house: House) -> None:
    house.configure(TICKET, channels__st__on_resolved="close")
    late(house)
    house.run_once()
    leaves(house)
    house.run_once()
    (move,) = house.tracker.moves
    assert move.resolution == "fixed"
    assert move.comment is not None


def test_an_alert_that_was_not_sent_in_time_tells_the_outcome_and_has_no_follow_up(
    house: House,
) -> None:
    house.configure(TELEGRAM, TICKET)
    late(house)
    leaves(house)
    house.run_once()
    assert "32 min" in shown(house)
    assert "already ended" in shown(house)
    assert steps(house) == {("telegram", "alert"): "sent", ("st", "alert"): "sent"}


def test_an_alert_that_was_in_flight_when_it_resolved_is_followed_up(house: House) -> None:
    house.configure(TELEGRAM)
    late(house)
    house.database.value("select scooters_ops.plan_deliveries(10)")
    (leased,) = house.lease("w1", "telegram", 60)
    leaves(house)
    assert steps(house) == {("telegram", "alert"): "sending"}
    result = {"recipient_id": leased["recipient_id"], "state": "sent", "reference": "1"}
    house.database.value(
        "select scooters_ops.record_deliveries('w1', %s)",
        json.dumps([{**result, "is_attempt": True, "delay_seconds": 0}]),
    )
    assert steps(house)["telegram", "resolved"] == "pending"


def test_a_withdrawn_notification_says_that_it_never_was_and_why(house: House) -> None:
    house.configure(TELEGRAM, TICKET)
    late(house)
    house.run_once()
    house.database.connection.execute("delete from scooters_ops.missions_history")
    house.database.detect(9)
    house.run_once()
    assert "Withdrawn: Too long at a point" in shown(house)
    assert "late or corrected events show that it never was" in shown(house)
    assert "Withdrawn" in house.tracker.comments[0].text


def test_with_nothing_configured_nothing_follows(house: House) -> None:
    house.configure(
        TELEGRAM,
        TICKET,
        channels__telegram__on_resolved="nothing",
        channels__st__on_resolved="nothing",
    )
    late(house)
    house.run_once()
    leaves(house)
    house.run_once()
    assert set(steps(house)) == {("telegram", "alert"), ("st", "alert")}


def test_what_was_never_sent_is_not_followed_up(house: House) -> None:
    house.configure(LOST)
    late(house)
    house.run_once()
    leaves(house)
    house.run_once()
    assert steps(house) == {("lost", "alert"): "failed"}


def test_a_channel_that_config_no_longer_has_is_told_nothing_more(house: House) -> None:
    house.configure(TELEGRAM, TICKET)
    late(house)
    house.run_once()
    house.configure(TELEGRAM, channels__st=None)
    leaves(house)
    house.run_once()
    assert ("st", "resolved") not in steps(house)
    assert steps(house)["telegram", "resolved"] == "sent"


def test_a_notification_from_before_the_upgrade_is_followed_up_if_it_ended_after_it(
    house: House,
) -> None:
    house.configure(TELEGRAM)
    late(house)
    house.run_once()
    horizon = "update scooters_ops.news_horizon set followed_after_id = 1, followed_since = %s"
    noon = house.database.value("select min(occurred_at) from scooters_ops.missions_history")
    with house.database.connection.transaction(force_rollback=True):
        house.database.connection.execute(horizon, ["infinity"])
        leaves(house)
        assert set(steps(house)) == {("telegram", "alert")}
    house.database.connection.execute(horizon, [noon])
    leaves(house)
    assert steps(house)["telegram", "resolved"] == "pending"


# --- Escalation and reminders ---------------------------------------------------------------------


def test_each_level_is_told_once_in_its_time_and_who_was_told_before(house: House) -> None:
    house.configure(
        routes=route(
            TELEGRAM,
            escalate=[
                {"after_seconds": 900, "recipients": [BOSS]},
                {"at_factor": 3, "recipients": [LEADS]},
            ],
        ),
        detection__notify_within_seconds=None,
    )
    late(house)
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications set details = jsonb_set("
        "details, '{started_at}', to_jsonb(now() - interval '10 minutes'))"
    )
    house.run_once()
    due = house.database.rows(
        "select step, round(extract(epoch from next_attempt_at - now()) / 60) as minutes"
        " from scooters_ops.notification_recipients where step <> 'alert' order by step"
    )
    # 5 minutes for the job: three times that after he arrived.
    assert [(row["step"], int(row["minutes"])) for row in due] == [
        ("escalation_1", 15),
        ("escalation_2", 5),
    ]
    make_due(house, "escalation_1", "escalation_2")
    house.run_once()
    house.run_once()
    assert "Level 1: nobody has acknowledged this." in house.telegram.messages[1].text
    assert f"Told before: Telegram {GROUP}" in house.telegram.messages[1].text
    (ticket,) = house.tracker.tickets
    assert ticket.summary.startswith("Level 2: ")
    assert set(steps(house).values()) == {"sent"}
    assert house.database.value("select completed from scooters_ops.notifications")


def test_reminders_follow_the_alert_and_count_from_when_it_was_sent(house: House) -> None:
    house.configure(routes=route(TELEGRAM, TICKET, remind={"every_seconds": 1800, "times": 2}))
    late(house)
    house.database.value("select scooters_ops.plan_deliveries(10)")
    assert steps(house)["telegram", "reminder_1"] == "waiting"
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set created_at = created_at - interval '1 hour'"
    )
    house.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = next_attempt_at - interval '1 hour' where state = 'waiting'"
    )
    house.run_once()
    minutes = house.database.values(
        "select round(extract(epoch from next_attempt_at - now()) / 60)::int"
        " from scooters_ops.notification_recipients where step ~ 'reminder' order by step"
    )
    assert minutes == [30, 30, 60, 60]
    make_due(house, "reminder_1")
    house.run_once()
    (_, reminder) = house.telegram.messages
    assert reminder.text.startswith("🔔 Reminder 1")
    assert reminder.reply_to == house.telegram.messages[0].message_id
    assert len(house.tracker.tickets) == 1
    assert "Reminder 1" in house.tracker.comments[0].text


def test_a_reminder_waits_for_an_alert_that_cannot_be_sent(house: House) -> None:
    house.configure(routes=route(LOST, remind={"every_seconds": 1, "times": 1}))
    late(house)
    house.run_once()
    make_due(house, "reminder_1")
    house.run_once()
    assert steps(house) == {("lost", "alert"): "failed", ("lost", "reminder_1"): "waiting"}


@pytest.mark.parametrize("ends", [leaves, lambda house: acknowledge(house, STAY_AT_P1)])
def test_what_was_not_sent_yet_is_cancelled_with_the_cause(house: House, ends: Any) -> None:
    later = {"escalate": [{"after_seconds": 900, "recipients": [BOSS]}]}
    house.configure(
        routes=route(TELEGRAM, **later, remind={"every_seconds": 1800, "times": 1}),
        channels__telegram__on_resolved="nothing",
    )
    late(house)
    house.run_once()
    ends(house)
    assert steps(house)["boss", "escalation_1"] == "cancelled"
    assert steps(house)["telegram", "reminder_1"] == "cancelled"
    make_due(house, "escalation_1", "reminder_1")
    house.run_once()
    assert len(house.telegram.messages) == 1


def test_a_skipped_job_escalates_until_somebody_acknowledges_it(house: House) -> None:
    house.configure(
        routes=route(
            TELEGRAM,
            escalate=[
                {"after_seconds": 1, "recipients": [BOSS]},
                {"at_factor": 3, "recipients": [LEADS]},  # a skip has no eta
            ],
        )
    )
    token = house.skip()
    house.run_once()
    make_due(house, "escalation_1")
    house.run_once()
    assert steps(house) == {("telegram", "alert"): "sent", ("boss", "escalation_1"): "sent"}
    assert acknowledge(house, token)
    house.run_once()
    assert "olga has it" in shown(house, 0)
    assert "olga has it" in shown(house, 1)


def test_a_level_that_an_outage_has_made_old_is_not_sent(house: House) -> None:
    house.configure(routes=route(TELEGRAM, escalate=[{"after_seconds": 60, "recipients": [BOSS]}]))
    late(house)
    house.run_once()
    house.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = now() - interval '25 hours' where step = 'escalation_1'"
    )
    house.run_once()
    assert steps(house)["boss", "escalation_1"] == "cancelled"
    assert len(house.telegram.messages) == 1


def test_an_escalation_in_flight_when_it_is_acknowledged_is_not_tried_again(house: House) -> None:
    house.configure(routes=route(TELEGRAM, escalate=[{"after_seconds": 60, "recipients": [BOSS]}]))
    token = late(house)
    house.run_once()
    make_due(house, "escalation_1")
    (leased,) = house.lease("w1", "telegram", 60)
    acknowledge(house, token)
    result = {"recipient_id": leased["recipient_id"], "state": "pending", "error": "HTTP 500"}
    house.database.value(
        "select scooters_ops.record_deliveries('w1', %s)",
        json.dumps([{**result, "is_attempt": True, "delay_seconds": 0}]),
    )
    assert steps(house)["boss", "escalation_1"] == "cancelled"


def test_a_lease_cancels_what_a_lock_kept_from_being_cancelled(house: House) -> None:
    house.configure(routes=route(TELEGRAM, escalate=[{"after_seconds": 60, "recipients": [BOSS]}]))
    late(house)
    house.run_once()
    with house.database.connect() as other, other.transaction():
        other.execute(
            "select from scooters_ops.notification_recipients where step = 'escalation_1'"
            " for update"
        )
        leaves(house)  # waits for nobody
        assert steps(house)["boss", "escalation_1"] == "pending"
    make_due(house, "escalation_1")
    house.run_once()
    assert steps(house)["boss", "escalation_1"] == "cancelled"
    assert len(house.telegram.messages) == 1


# --- Acknowledged ---------------------------------------------------------------------------------


def test_all_messages_show_who_has_it_and_then_how_it_ended(house: House) -> None:
    house.configure(routes=route(TELEGRAM, TICKET, remind={"every_seconds": 1800, "times": 2}))
    token = late(house)
    house.run_once()
    make_due(house, "reminder_1")
    house.run_once()
    assert acknowledge(house, token)
    assert not acknowledge(house, token, "ivan")
    house.run_once()
    assert "olga has it since" in shown(house, 0)
    assert "olga has it since" in shown(house, 1)
    assert steps(house)["telegram", "acknowledged"] == "sent"  # of the first message
    assert steps(house)["telegram", "acknowledged_reminder_1"] == "sent"
    leaves(house)
    house.run_once()
    for number in (0, 1):
        assert "✅" in shown(house, number)
        assert "olga has it since" in shown(house, number)
    texts = [comment.text for comment in house.tracker.comments]
    assert [text.split()[0] for text in texts] == ["Reminder", "`olga`", "Too"]


def test_the_outcome_replaces_an_acknowledgement_that_was_not_shown_yet(house: House) -> None:
    house.configure(TELEGRAM)
    token = late(house)
    house.run_once()
    acknowledge(house, token)
    leaves(house)
    assert steps(house)["telegram", "acknowledged"] == "cancelled"
    house.run_once()
    (edit,) = house.telegram.edits
    assert "✅" in edit.text
    assert "olga has it" in edit.text


def test_two_changes_of_one_message_are_never_in_flight_together(house: House) -> None:
    house.configure(TELEGRAM)
    token = late(house)
    house.run_once()
    acknowledge(house, token)
    (leased,) = house.lease("w1", "telegram", 60)
    assert leased["step"] == "acknowledged"
    leaves(house)
    assert steps(house)["telegram", "resolved"] == "waiting"
    assert house.lease("w2", "telegram", 60) == []
    result = {"recipient_id": leased["recipient_id"], "state": "sent", "reference": "1"}
    house.database.value(
        "select scooters_ops.record_deliveries('w1', %s)",
        json.dumps([{**result, "is_attempt": True, "delay_seconds": 0}]),
    )
    (resolved,) = house.lease("w2", "telegram", 60)
    assert resolved["step"] == "resolved"


def test_a_change_that_is_due_while_another_one_is_being_recorded_does_not_wait_for_ever(
    house: House,
) -> None:
    house.configure(TELEGRAM)
    token = late(house)
    house.run_once()
    acknowledge(house, token)
    (leased,) = house.lease("w1", "telegram", 60)
    leaves(house)
    change = (
        "update scooters_ops.notification_recipients set state = %s, leased_by = %s, sent_at ="
        " case %s when 'sent' then now() end where step = %s"
    )
    # It was due before the other one was leased.
    house.database.connection.execute(change, ["pending", None, "", "resolved"])
    with house.database.connect() as recording, recording.transaction():
        recording.execute(change, ["sent", None, "sent", "acknowledged"])
        recording.execute(
            "select scooters_ops.refresh_notifications(array[%s])", [leased["notification_id"]]
        )
        assert house.lease("w2", "telegram", 60) == []
    assert steps(house)["telegram", "resolved"] == "pending"
    make_due(house, "resolved")
    (resolved,) = house.lease("w2", "telegram", 60)
    assert resolved["step"] == "resolved"

    # Nobody records the other one yet: it waits for that.
    house.database.connection.execute(change, ["sending", "w1", "", "acknowledged"])
    house.database.connection.execute(change, ["pending", None, "", "resolved"])
    make_due(house, "resolved")
    assert house.lease("w3", "telegram", 60) == []
    assert steps(house)["telegram", "resolved"] == "waiting"


@pytest.mark.parametrize(
    ("token", "by", "sqlstate", "message"),
    [
        ("m9_p1__timeout_in_point", "olga", "P0002", 'no notification "m9_p1__timeout_in_point"'),
        (STAY_AT_P1, "", "22004", "by must not be empty: it says who takes care"),
        (STAY_AT_P1, None, "22004", "by must not be empty: it says who takes care"),
        (STAY_AT_P1, "x" * 201, "22001", "by is longer than 200 characters"),
    ],
)
def test_an_acknowledgement_that_names_nothing_or_nobody_changes_nothing(
    house: House, token: str | None, by: str | None, sqlstate: str, message: str
) -> None:
    late(house)
    with pytest.raises(psycopg.Error) as caught:
        house.database.value("select scooters_ops.acknowledge(%s, %s)", token, by)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.diag.message_primary == message
    assert house.database.values("select acknowledged_at from scooters_ops.notifications") == [None]


def test_what_is_resolved_cannot_be_acknowledged_any_more(house: House) -> None:
    token = late(house)
    leaves(house)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as caught:
        acknowledge(house, token)
    assert caught.value.diag.message_primary == f'notification "{token}" is resolved already'


def test_of_two_who_acknowledge_at_once_one_has_it(house: House) -> None:
    token = late(house)
    with house.database.connect() as first, first.transaction():
        assert first.execute("select scooters_ops.acknowledge(%s, 'olga')", [token]).fetchone()
        with house.database.connect() as second:
            second.execute("set lock_timeout = '10ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                second.execute("select scooters_ops.acknowledge(%s, 'ivan')", [token])
    assert not acknowledge(house, token, "ivan")
    assert house.database.values("select acknowledged_by from scooters_ops.notifications") == [
        "olga"
    ]


# --- Order ----------------------------------------------------------------------------------------


def test_alerts_are_leased_before_follow_ups_which_leave_half_of_each_limit(house: House) -> None:
    limits = {
        "per_channel": [],
        "per_target": [],
        "per_group": [{"messages": 4, "seconds": 3600}],
        "in_flight_per_target": None,
    }
    house.configure(TELEGRAM)
    tokens = house.skip_many(5)
    house.run_once()
    house.configure(TELEGRAM, channels__telegram__limits=limits)
    house.database.connection.execute(
        "delete from scooters_ops.delivery_targets where address <> ''"
    )
    for token in tokens:
        acknowledge(house, token)
    house.skip("m6")
    house.database.value("select scooters_ops.plan_deliveries(10)")

    leased = house.lease("w1", "telegram", 60)
    assert [row["step"] for row in leased] == ["acknowledged", "alert"]  # by recipient_id
    house.skip("m7")
    house.skip("m8")
    house.skip("m9")
    house.database.value("select scooters_ops.plan_deliveries(10)")
    assert [row["step"] for row in house.lease("w1", "telegram", 60)] == ["alert", "alert"]
    assert house.lease("w1", "telegram", 60) == []


def test_follow_ups_take_no_more_than_the_slots_for_them(house: House) -> None:
    house.configure(TELEGRAM)
    tokens = house.skip_many(5)
    house.run_once()
    for token in tokens:
        acknowledge(house, token)
    query = "select * from scooters_ops.lease_deliveries('w1', '{\"telegram\": 10}', 60, %s)"
    assert len(house.database.rows(query, '{"telegram": 0}')) == 0
    assert len(house.database.rows(query, '{"telegram": 2}')) == 2


def test_a_notifier_of_an_earlier_version_gets_nothing_but_alerts(house: House) -> None:
    """It would send an edit as a new message, and would ask again at once for what it never gets.
    Upgrades leave it at work until it is restarted."""
    house.configure(TELEGRAM)
    told = house.skip()
    house.run_once()
    acknowledge(house, told)
    escalate = [{"after_seconds": 60, "recipients": [BOSS]}]
    house.configure(routes=route(TELEGRAM, escalate=escalate))
    house.skip("m2")
    house.database.value("select scooters_ops.plan_deliveries(10)")
    make_due(house, "escalation_1")
    leased = house.database.values(
        "select step from scooters_ops.lease_deliveries('old', '{\"telegram\": 10}', 60)"
    )
    assert leased == ["alert"]
    wait = "select wait_seconds from scooters_ops.next_delivery('{telegram}', %s)"
    house.database.connection.execute(
        "update scooters_ops.notification_recipients set state = 'cancelled'"
        " where step = 'escalation_1'"
    )
    assert house.database.value(wait, []) is None or house.database.value(wait, []) > 0
    assert house.database.value(wait, ["telegram"]) == 0


def test_follow_ups_that_wait_for_alerts_are_not_stuck(house: House) -> None:
    house.configure(TELEGRAM)
    acknowledge(house, house.skip())
    token = house.skip("m2")
    house.run_once()
    acknowledge(house, token)
    house.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = now() - interval '1 hour' where step = 'acknowledged'"
    )
    is_stuck = "select bool_or(is_stuck) from scooters_ops.delivery_status"
    assert not house.database.value(is_stuck)  # the channel was busy a moment ago
    house.database.connection.execute(
        "update scooters_ops.delivery_targets set leased_at = now() - interval '1 hour'"
    )
    assert house.database.value(is_stuck)


# --- Status, retry, pruning -----------------------------------------------------------------------


def test_what_waits_for_its_time_is_scheduled_and_needs_nobody(house: House) -> None:
    house.configure(
        routes=route(
            TELEGRAM,
            escalate=[{"after_seconds": 900, "recipients": [BOSS]}],
            remind={"every_seconds": 1800, "times": 2},
        )
    )
    late(house)
    house.run_once()
    (row,) = house.database.rows("select * from scooters_ops.delivery_status")
    assert (row["channel"], row["state"], row["recipients"]) == ("telegram", "scheduled", 3)
    assert not row["is_stuck"]


def test_what_waits_for_a_channel_that_config_no_longer_has_is_named(house: House) -> None:
    house.configure(routes=route(TELEGRAM, escalate=[{"after_seconds": 60, "recipients": [LEADS]}]))
    late(house)
    house.run_once()
    house.configure(TELEGRAM, channels__st=None)
    house.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = now() - interval '1 hour' where step = 'escalation_1'"
    )
    house.database.value("select scooters_ops.report_notifier('n1', 1, '0017')")
    status = house.cli("status")
    assert status.returncode == 1
    assert (
        "Channel st is not configured any more, and messages wait for it: put it back into the"
        " config (make config) until they are sent." in " ".join(status.stdout.split())
    )
    assert steps(house)["st", "escalation_1"] == "pending"


def test_a_failed_step_is_tried_again_like_an_alert(house: House) -> None:
    house.configure(routes=route(TELEGRAM, escalate=[{"after_seconds": 60, "recipients": [LOST]}]))
    token = late(house)
    house.run_once()
    make_due(house, "escalation_1")
    house.run_once()
    assert steps(house)["lost", "escalation_1"] == "failed"
    assert house.database.value("select completed from scooters_ops.notifications")
    house.telegram.chats[LOST_GROUP] = Chat(LOST_GROUP)
    assert house.database.value("select scooters_ops.retry_deliveries(%s)", token) == 1
    house.run_once()
    assert steps(house)["lost", "escalation_1"] == "sent"


def test_what_is_still_to_be_said_is_not_pruned(house: House) -> None:
    house.configure(TELEGRAM)
    token = late(house)
    house.run_once()
    leaves(house)
    house.database.record("mission_completed", 40)
    house.database.detect(41)
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications"
        " set created_at = created_at - interval '1 year'"
    )
    horizon = house.database.value("select now()")
    query = "select scooters_ops.prune_notifications(0, %s, 100)"
    house.database.value(query, horizon)
    assert house.database.tokens().count(token) == 1
    house.run_once()
    house.database.value(query, horizon)
    assert house.database.tokens().count(token) == 0


@pytest.mark.parametrize("type", ["timeout_in_point", "job_skipped"])
def test_a_real_notification_has_every_fact_that_the_samples_have(house: House, type: str) -> None:
    if type == "job_skipped":
        house.skip()
    else:
        late(house)
    (row,) = house.database.rows(
        "select idempotency_token, type::text, mission_id, point_id, job_id, details, resolution,"
        " ended_at, acknowledged_at, acknowledged_by from scooters_ops.notifications"
    )
    for step in steps_of(type):
        sample, facts = sample_facts(type, step), Notification(**row).facts(step)
        assert sample["step"] == facts["step"] == step
        # The config says where the board is.
        assert sample.keys() - {"mission_url"} <= facts.keys()


def test_an_acknowledgement_wakes_the_notifiers(house: House, database: TestDatabase) -> None:
    """An acknowledgement is told at once, without waiting for a poll."""
    house.configure(TELEGRAM)
    token = late(house)
    house.run_once()
    with database.connect() as listener:
        listener.execute("listen scooters_ops")
        acknowledge(house, token)
        until(lambda: [*listener.notifies(timeout=0.1)] != [])
