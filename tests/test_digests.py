"""More alerts than channels.X.digest_above wait for one target: they go as one message, each of
them is sent once, and nothing is said twice where the outcome is certain.

The real notifier sends to the stand-ins where it matters what is said; where the order of
transactions matters, the SQL functions are called as notifiers would.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier import config as configs
from notifier.channels import CHANNELS
from notifier.commands import config as config_command
from notifier.config import ConfigError
from notifier.delivery.setup import Setup
from notifier.locales import LOCALES
from notifier.notification_types import DIGEST_FACTS, DIGEST_TYPE, sample_facts, steps_of
from notifier.resources import TEMPLATES
from notifier.secrets import Secrets
from notifier.templates import Renderer
from notifier.web.board.filters import Filters
from sandbox.standins import Chat
from tests.conftest import config
from tests.delivery_rigs import GROUP, OTHER_GROUP, QUICK_RETRY, TELEGRAM, TICKET, House

BOSS = {"type": "telegram", "chat_id": OTHER_GROUP}
FORUM = -1007
ABOVE = 3
BOTH = ["telegram", "st"]


def configure(house: House, *recipients: dict[str, Any], **changes: Any) -> None:
    house.configure(
        *recipients,
        **{
            "channels__telegram__digest_above": ABOVE,
            "channels__st__digest_above": ABOVE,
            "channels__st__limits": None,
            **changes,
        },
    )


def late(house: House, count: int, first: int = 1, minutes: float = 8) -> list[str]:
    """So many couriers have been at p1 for too long; returns the tokens."""
    database = house.database
    numbers = range(first, first + count)
    with database.connection.transaction():
        for number in numbers:
            name = f"m{number}"
            city = "Moscow" if number % 3 else "Omsk"
            database.create_mission(name, 1, attributes={"city": city})
            database.record("point_arrived", minutes - 8, "p1", name)
    assert database.detect(minutes) == count
    return [f"m{number}_p1__timeout_in_point" for number in numbers]


def leave(house: House, *tokens: str, minutes: float = 32) -> None:
    """The couriers of these notifications leave p1, and a pass sees it."""
    for token in tokens:
        house.database.record("point_completed", minutes, "p1", token.partition("_")[0])
    house.database.detect(minutes + 1)


def rows(house: House, step: str = "alert") -> list[dict[str, Any]]:
    return house.database.rows(
        "select recipient.*, notification.idempotency_token as token"
        " from scooters_ops.notification_recipients as recipient"
        " inner join scooters_ops.monitoring_notifications as notification using (notification_id)"
        " where step ~ %s order by recipient_id",
        step,
    )


def told(house: House) -> set[tuple[str, Any]]:
    """The states and references of all alerts."""
    return {(row["state"], row["reference"]) for row in rows(house)}


def lease(
    house: House, worker: str = "a#1", channels: Sequence[str] = BOTH
) -> list[dict[str, Any]]:
    slots = json.dumps(dict.fromkeys(BOTH, 100))
    return house.database.rows(
        "select * from scooters_ops.lease_deliveries(%s, %s, 60, %s, %s)",
        worker,
        slots,
        slots,
        list(channels),
    )


def record(house: House, recipient_id: int, worker: str = "a#1", **result: Any) -> int:
    results = [{"recipient_id": recipient_id, "is_attempt": True, "delay_seconds": 0, **result}]
    return int(
        house.database.value(
            "select scooters_ops.record_deliveries(%s, %s)", worker, json.dumps(results)
        )
    )


def plan(house: House) -> None:
    house.database.value("select scooters_ops.plan_deliveries(10000)")


def expire(house: House) -> None:
    house.database.connection.execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = now() - interval '1 second' where state = 'sending'"
    )


def acknowledge(house: House, token: str) -> None:
    house.database.value("select scooters_ops.acknowledge(%s, 'olga')", token)


# --- What is said, and when -----------------------------------------------------------------------


def test_more_alerts_than_configured_go_as_one_message_and_each_row_has_its_reference(
    house: House,
) -> None:
    configure(house, TELEGRAM, TICKET, http__public_url="https://ops.example.org")
    late(house, 5)
    house.run_once()
    (message,) = house.telegram.messages
    assert message.text.startswith("🌊 5 alerts together")
    assert "Too long at a point: 5" in message.text
    assert "By city: Moscow 4, Omsk 1" in message.text
    assert "over the limit, point p1, mission m1" in message.text
    (sent,) = [each.call.body for each in house.telegram.ledger]
    (link,) = [each for each in sent["text"].split('"') if each.startswith("http")]
    assert dict(parse_qsl(urlsplit(unescape(link)).query)) == {
        "type": "timeout_in_point",
        "overdue": "1",
    }
    (ticket,) = house.tracker.tickets
    assert "5 alerts together" in ticket.summary
    assert "mission `m5`" in ticket.description
    assert told(house) == {("sent", str(message.message_id)), ("sent", ticket.key)}
    assert all(
        row["completed"] for row in house.database.rows("select * from scooters_ops.notifications")
    )
    # The board links each of them to the message.
    steps = house.database.value(
        "select scooters_ops.board_notifications(array_agg(notification_id))"
        " from scooters_ops.monitoring_notifications"
    )
    assert {each["reference"] for row in steps for each in row["recipients"]} == {
        str(message.message_id),
        ticket.key,
    }


def test_as_many_as_configured_go_one_by_one_and_a_first_alert_waits_for_no_company(
    house: House,
) -> None:
    configure(house, TELEGRAM)
    late(house, ABOVE)
    house.run_once()
    assert len(house.telegram.messages) == ABOVE
    late(house, 1, first=10, minutes=20)
    house.run_once()
    assert len(house.telegram.messages) == ABOVE + 1
    assert not any("together" in each.text for each in house.telegram.messages)
    assert {row["digest_id"] for row in rows(house)} == {None}


def test_three_hundred_at_once_need_one_message_within_telegrams_limits(house: House) -> None:
    """One by one they take nine minutes: twenty a minute, and then this would not end so soon."""
    limits = config()["channels"]["telegram"].get("limits")
    configure(house, TELEGRAM, channels__telegram__limits=limits or {})
    house.skip_many(300)
    house.run_once()
    (message,) = house.telegram.messages
    assert "Job skipped: 300" in message.text
    assert told(house) == {("sent", "1")}
    (grants,) = house.database.values(
        "select cardinality(granted_at) from scooters_ops.delivery_targets where address = %s",
        str(GROUP),
    )
    assert grants == 1


def test_each_topic_of_a_forum_gets_its_own_and_a_moved_chat_is_followed(house: House) -> None:
    house.telegram.chats[FORUM] = Chat(FORUM, topics=frozenset({2, 3}))
    house.telegram.chats[GROUP] = Chat(GROUP, moved_to=OTHER_GROUP)
    topics = [{"type": "telegram", "chat_id": FORUM, "message_thread_id": n} for n in (2, 3)]
    configure(house, *topics, TELEGRAM)
    house.skip_many(4)
    house.run_once()
    places = [(each.chat_id, each.message_thread_id) for each in house.telegram.messages]
    assert {*places} == {(FORUM, 2), (FORUM, 3), (OTHER_GROUP, None)}
    assert len(places) == 3
    assert {row["state"] for row in rows(house)} == {"sent"}
    moved = [row for row in rows(house) if row["address"] == str(GROUP)]
    assert {row["sent_to"] for row in moved} == {str(OTHER_GROUP)}


def test_what_is_settled_before_the_lease_drops_out_and_is_still_told(house: House) -> None:
    configure(house, TELEGRAM)
    tokens = late(house, 10)
    plan(house)
    acknowledge(house, tokens[0])
    leave(house, *tokens[1:5])
    leased = lease(house)
    assert sorted((row["digest"]["alerts"], row["digest"]["settled"]) for row in leased) == [
        (5, 0),
        (5, 5),
    ]
    by_digest = {
        row["recipient_id"]: {
            each["token"] for each in rows(house) if each["digest_id"] == row["recipient_id"]
        }
        for row in leased
    }
    assert sorted(map(sorted, by_digest.values())) == sorted(
        [sorted(tokens[:5]), sorted(tokens[5:])]
    )


def test_one_digest_tells_of_a_thousand_at_most_and_those_beyond_do_not_go_one_by_one(
    house: House,
) -> None:
    configure(house, TELEGRAM)
    _insert(house, 2300)
    counts = []
    for _ in range(3):
        (row,) = lease(house)
        counts.append(row["digest"]["alerts"])
        assert record(house, row["recipient_id"], state="sent", reference="7") == 1
    assert counts == [1000, 1000, 300]
    assert told(house) == {("sent", "7")}
    configure(house, TELEGRAM, channels__telegram__digest_above=1000)
    _insert(house, 3301, first=2301)
    (row,) = lease(house)
    assert row["digest"]["alerts"] == 1001


def _insert(house: House, last: int, first: int = 1) -> None:
    """Notifications with one alert for the group, without the rest of the product."""
    house.database.connection.execute(
        "insert into scooters_ops.monitoring_notifications"
        " (idempotency_token, mission_id, point_id, job_id, type, planned_at)"
        " select 'x' || n || '_job_skipped', 'x' || n, 'p1', 'j1', 'job_skipped', now()"
        f" from generate_series({first}, {last}) as n;"
        "insert into scooters_ops.notification_recipients (notification_id, channel, target)"
        ' select notification_id, \'telegram\', \'{"type": "telegram", "chat_id": -1001}\''
        " from scooters_ops.monitoring_notifications"
        f" where substr(mission_id, 2)::integer >= {first};"
        "analyze scooters_ops.monitoring_notifications, scooters_ops.notification_recipients"
    )


def test_what_a_silence_held_goes_as_one_message_that_says_how_many(house: House) -> None:
    configure(house, TELEGRAM)
    silence_id = house.database.value(
        """select scooters_ops.silence('{"city": "Moscow"}', '1 hour', 'works', 'ops')"""
    )
    tokens = late(house, 9)
    plan(house)
    assert len(lease(house)) == 3  # those of Omsk
    leave(house, tokens[0])
    house.database.value("select scooters_ops.unsilence(%s, 'olga')", silence_id)
    house.run_once()
    (message,) = house.telegram.messages
    assert "5 alerts together" in message.text
    assert "Held by a silence before: 5" in message.text
    assert [row["token"] for row in rows(house) if row["state"] == "cancelled"] == [tokens[0]]


def test_a_test_is_a_message_of_its_own(house: House) -> None:
    configure(house, TELEGRAM)
    house.skip_many(4)
    plan(house)
    house.database.value(
        "select scooters_ops.send_test(%s, 'olga', 'duty-1')", json.dumps([TELEGRAM])
    )
    leased = lease(house)
    assert sorted((row["type"], row["digest"] is None) for row in leased) == [
        ("job_skipped", False),
        ("test", True),
    ]


# --- Order ----------------------------------------------------------------------------------------


def test_escalations_go_first_then_alerts_then_follow_ups_the_oldest_first_within_each(
    house: House,
) -> None:
    house.configure()
    _insert(house, 6)
    execute = house.database.connection.execute
    execute(
        "update scooters_ops.notification_recipients set step = 'escalation_1'"
        " where recipient_id in (select recipient_id from scooters_ops.notification_recipients"
        " order by recipient_id desc limit 2)"
    )
    execute(
        "insert into scooters_ops.notification_recipients"
        " (notification_id, channel, target, step, follows, next_attempt_at)"
        " select notification_id, channel, target, 'acknowledged', recipient_id,"
        " now() - interval '1 day' - notification_id * interval '1 minute'"
        " from scooters_ops.notification_recipients where step = 'alert' limit 2"
    )
    # The newer the row, the longer it has been due.
    execute(
        "update scooters_ops.notification_recipients"
        " set next_attempt_at = now() - interval '1 hour' - recipient_id * interval '1 second'"
        " where follows is null"
    )
    slots = json.dumps({"telegram": 1})
    order = []
    while leased := house.database.rows(
        "select * from scooters_ops.lease_deliveries('a#1', %s, 60, %s)", slots, slots
    ):
        (row,) = leased
        order.append((row["step"], row["recipient_id"]))
        record(house, row["recipient_id"], state="sent")
    steps = [step for step, _ in order]
    assert steps == [*2 * ["escalation_1"], *4 * ["alert"], *2 * ["acknowledged"]]
    for step in {*steps}:
        ids = [id for name, id in order if name == step]
        assert ids == sorted(ids, reverse=True), step


# --- Outcomes -------------------------------------------------------------------------------------


def test_a_digest_that_was_refused_is_made_anew_of_whatever_waits_then(house: House) -> None:
    configure(house, TELEGRAM, notifier__retry=QUICK_RETRY)
    tokens = late(house, 4)
    plan(house)
    (first,) = lease(house)
    assert {row["state"] for row in rows(house)} == {"sending", "waiting"}
    record(house, first["recipient_id"], state="pending", error="flood", delay_seconds=0)
    assert {(row["state"], row["attempts"], row["digest_id"]) for row in rows(house)} == {
        ("pending", 1, None)
    }
    acknowledge(house, tokens[0])
    late(house, 2, first=10, minutes=20)
    house.run_once()
    whole, single = sorted(house.telegram.messages, key=lambda each: -len(each.text))
    assert "5 alerts together" in whole.text
    assert tokens[0] in single.text
    assert "olga has it" in single.text
    assert {row["state"] for row in rows(house)} == {"sent"}


def test_one_that_may_have_been_sent_is_frozen_for_those_who_can_send_it(house: House) -> None:
    configure(house, TELEGRAM)
    tokens = late(house, 4)
    plan(house)
    (first,) = lease(house)
    expire(house)
    late(house, 4, first=10, minutes=20)
    plan(house)
    assert {row["digest"] for row in lease(house, "old#1", [])} == {None}
    house.database.value("select scooters_ops.release_deliveries('old#1')")
    configure(house, TELEGRAM, channels__telegram__digest_above=None)  # only new ones end with it
    again = [row for row in lease(house, "b#1") if row["digest"]]
    (frozen,) = again
    assert (frozen["recipient_id"], frozen["is_in_doubt"]) == (first["recipient_id"], True)
    assert frozen["idempotency_key"] == first["idempotency_key"]
    assert frozen["digest"]["alerts"] == 4
    # It is refused now, but the first attempt may have arrived: it stays as it is.
    record(house, frozen["recipient_id"], "b#1", state="pending", error="flood")
    assert sum(row["state"] == "waiting" for row in rows(house)) == 3
    # The first one's answer comes late, and is true of all of them.
    assert record(house, first["recipient_id"], state="sent", reference="9") == 1
    assert {row["reference"] for row in rows(house) if row["token"] in tokens} == {"9"}
    assert {row["reference"] for row in rows(house) if row["token"] not in tokens} == {None}


def test_one_that_may_have_been_sent_alone_joins_no_digest(house: House) -> None:
    configure(house, TELEGRAM)
    house.skip_many(1)
    plan(house)
    (alone,) = lease(house)
    expire(house)
    late(house, 4, first=10)
    plan(house)
    leased = lease(house, "b#1")
    assert sorted((row["is_in_doubt"], row["digest"] is None) for row in leased) == [
        (False, False),
        (True, True),
    ]
    record(house, alone["recipient_id"], "b#1", state="pending", error="flood")
    late(house, 4, first=20, minutes=20)
    plan(house)
    leased = lease(house, "c#1")
    assert [row["digest"] is None for row in leased if row["is_in_doubt"]] == [True]


def test_what_nobody_sent_is_given_back_as_single_alerts(house: House) -> None:
    configure(house, TELEGRAM)
    late(house, 4)
    plan(house)
    lease(house)
    assert house.database.value("select scooters_ops.release_deliveries('a#1')") == 1
    assert {(row["state"], row["attempts"], row["digest_id"]) for row in rows(house)} == {
        ("pending", 0, None)
    }


def test_what_a_lease_has_no_slot_for_stays_single(house: House) -> None:
    configure(house, TELEGRAM, BOSS)
    house.skip_many(4)
    plan(house)
    slots = json.dumps({"telegram": 1})
    (row,) = house.database.rows(
        "select * from scooters_ops.lease_deliveries('a#1', %s, 60, %s, '{telegram}')",
        slots,
        slots,
    )
    others = [each for each in rows(house) if each["address"] != str(row["target"]["chat_id"])]
    assert {(each["state"], each["digest_id"]) for each in others} == {("pending", None)}


def test_retry_of_one_member_takes_the_whole_digest_along(house: House) -> None:
    configure(house, TELEGRAM, channels__telegram__in_doubt="hold")
    tokens = late(house, 4)
    plan(house)
    (first,) = lease(house)
    record(house, first["recipient_id"], state="failed", error="kicked")
    assert {(row["state"], row["last_error"]) for row in rows(house)} == {("failed", "kicked")}
    assert house.cli("retry", tokens[2]).stdout.startswith("4 ")
    assert {(row["state"], row["digest_id"]) for row in rows(house)} == {("pending", None)}

    (second,) = lease(house)
    assert second["digest"]["alerts"] == 4
    record(house, second["recipient_id"], state="in_doubt", error="cut short")
    assert {row["state"] for row in rows(house)} == {"in_doubt"}
    assert house.database.value("select scooters_ops.retry_deliveries(%s)", tokens[3]) == 4
    (third,) = lease(house)  # the same message
    assert (third["recipient_id"], third["digest"]["alerts"]) == (second["recipient_id"], 4)
    record(house, third["recipient_id"], state="in_doubt", error="cut short")
    assert house.database.value("select scooters_ops.confirm_deliveries(%s)", tokens[1]) == 4
    assert told(house) == {("sent", None)}

    leave(house, *tokens)  # and what follows the message, too
    (over,) = lease(house)
    record(house, over["recipient_id"], state="failed", error="kicked")
    assert house.database.value("select scooters_ops.retry_deliveries(%s)", tokens[2]) == 1
    assert [row["state"] for row in rows(house, "^resolved")] == ["pending"]


def test_a_blocked_digest_goes_out_after_the_repair(house: House, tmp_path: Path) -> None:
    configure(house, TELEGRAM)
    late(house, 4)
    for path in TEMPLATES.rglob("*.j2"):
        copy = tmp_path / path.relative_to(TEMPLATES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("{{ nothing }}" if "digest" in path.parts else path.read_text())
    house.run_once(tmp_path)
    assert {(row["state"], row["is_blocked"]) for row in rows(house)} == {("pending", True)}
    assert house.database.value("select scooters_ops.retry_deliveries()") == 4
    house.run_once()
    assert len(house.telegram.messages) == 1


def test_what_waits_in_a_digest_counts_as_due_and_is_not_stuck(house: House) -> None:
    configure(house, TELEGRAM)
    late(house, 4)
    plan(house)
    lease(house)
    (row,) = house.database.rows("select * from scooters_ops.delivery_status")
    assert (row["state"], row["recipients"], row["is_stuck"]) == ("sending", 4, False)


# --- What follows ---------------------------------------------------------------------------------


def test_when_all_are_over_the_message_says_so_and_nothing_else_follows_a_digest(
    house: House,
) -> None:
    house.configure(
        TELEGRAM,
        channels__telegram__digest_above=ABOVE,
        channels__st__digest_above=ABOVE,
        channels__telegram__buttons=True,
        routes=[
            {
                "match": {},
                "recipients": [TELEGRAM, TICKET],
                "remind": {"every_seconds": 60, "times": 2},
            }
        ],
    )
    tokens = late(house, 4)
    house.run_once()
    (message,) = house.telegram.messages
    assert not message.buttons
    acknowledge(house, tokens[0])
    leave(house, *tokens[:3])
    house.run_once()
    assert not house.telegram.edits
    assert not house.tracker.comments
    assert {row["state"] for row in rows(house, "reminder")} == {"cancelled"}
    house.database.connection.execute("select scooters_ops.prune_notifications(0, now(), 100)")
    assert len(rows(house)) == 8, "its message is still to be edited"

    leave(house, tokens[3], minutes=40)
    house.run_once()
    (edit,) = house.telegram.edits
    assert edit.message_id == message.message_id
    assert edit.text.startswith("✅ All over: 4 alerts together")
    (comment,) = house.tracker.comments
    assert comment.text.startswith("All over: 4 alerts together")
    assert len(rows(house, "resolved")) == 2
    assert {row["state"] for row in rows(house, "resolved")} == {"sent"}
    assert len(house.telegram.messages) == 1


def test_a_pass_waits_for_nobody_who_acknowledges_what_leads_a_digest(house: House) -> None:
    configure(house, TELEGRAM)
    skipped = house.skip("s1")
    tokens = late(house, ABOVE)
    plan(house)
    (leader,) = lease(house)
    record(house, leader["recipient_id"], state="sent", reference="9")
    with psycopg.connect(house.database.conninfo) as duty:
        duty.execute("select scooters_ops.acknowledge(%s, 'olga')", [skipped])
        house.database.connection.execute("set lock_timeout = '10s'")
        leave(house, *tokens)
    assert [row["token"] for row in rows(house, "^resolved")] == [skipped]


def test_one_that_resolves_while_it_is_sent_is_followed_up_and_one_that_was_over_is_not(
    house: House,
) -> None:
    configure(house, TELEGRAM)
    tokens = late(house, 4)
    plan(house)
    (row,) = lease(house)
    leave(house, *tokens)
    record(house, row["recipient_id"], state="sent", reference="1")
    assert [each["state"] for each in rows(house, "resolved")] == ["pending"]
    # An earlier version's notifier would make a message of one of it.
    assert lease(house, "old#1", []) == []
    (change,) = lease(house)
    assert (change["step"], change["digest"]["resolved"]) == ("resolved", 4)
    record(house, change["recipient_id"], state="sent", reference="1")

    more = late(house, 4, first=10, minutes=60)
    plan(house)
    leave(house, *more, minutes=90)
    (row,) = lease(house)
    record(house, row["recipient_id"], state="sent", reference="2")
    assert len(rows(house, "resolved")) == 1

    # Of this one all timeouts are over when it is sent again, and its message does not say so
    # because of a skipped job.
    mixed = late(house, 3, first=20, minutes=120)
    house.skip("m23")
    plan(house)
    (row,) = lease(house)
    leave(house, *mixed, minutes=150)
    expire(house)
    (again,) = lease(house, "b#1")
    assert (again["digest"]["settled"], again["digest"]["alerts"]) == (3, 4)
    record(house, row["recipient_id"], "b#1", state="sent", reference="3")
    assert [each["state"] for each in rows(house, "resolved")] == ["sent", "pending"]


# --- What digests look like ----------------------------------------------------------------------

RENDERERS = {locale: Renderer(TEMPLATES, locale, ZoneInfo("Europe/Moscow")) for locale in LOCALES}
PIECES = st.sampled_from(["x", "&", "<b>", "</code>", '"', "'", "🛵", "\n", "`", "\u202e", "&lt;"])
UGLY = st.builds(lambda piece, times: "a" + piece * times, PIECES, st.integers(0, 300))
MAYBE = st.none() | UGLY
COUNT = st.integers(0, 10**9)
FACTS = st.fixed_dictionaries(
    {
        "token": UGLY,
        "alerts": COUNT,
        "settled": COUNT,
        "resolved": COUNT,
        "silenced": COUNT,
        "elsewhere": COUNT,
        "without_city": COUNT,
        "since": st.just(datetime(2026, 11, 24, tzinfo=UTC)),
        "types": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["job_skipped", "new"]), "alerts": COUNT}
            ),
            min_size=1,
            max_size=4,
        ),
        "cities": st.lists(st.fixed_dictionaries({"city": UGLY, "alerts": COUNT}), max_size=5),
        "worst": st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.sampled_from(["timeout_in_point", "new"]),
                    "mission_id": UGLY,
                    "point_id": MAYBE,
                    "performer_id": MAYBE,
                    "performer_name": MAYBE,
                    "city": MAYBE,
                    "over": st.none() | st.timedeltas(timedelta(0), timedelta(days=9999)),
                }
            ),
            min_size=1,
            max_size=10,
        ),
        "board_url": st.sampled_from([None, "https://o.example/board?" + "a=1&" * 119]),
    }
)


@given(FACTS, st.sampled_from(steps_of(DIGEST_TYPE)), st.sampled_from([*LOCALES]))
def test_whatever_a_digest_holds_it_is_valid_and_fits(
    facts: dict[str, Any], step: str, locale: str
) -> None:
    given = {**facts, "type": DIGEST_TYPE, "step": step}
    text = RENDERERS[locale].render(DIGEST_TYPE, CHANNELS["telegram"], given)["text"]
    assert len(text) <= 4096
    opened: list[str] = []
    for token in re.findall(r"<[^<>]*>|[^<>]+|[<>]", text):
        if tag := re.fullmatch(r"""<(/?)(b|code|a)(?: href="https://[^"<>]*")?>""", token):
            if tag[1]:
                assert opened.pop() == tag[2]
            else:
                opened.append(tag[2])
        else:
            assert token[0] not in "<>", token
            assert not re.search(r"&(?!(lt|gt|amp|quot|#\d+);)", token), token
    assert not opened
    ticket = RENDERERS[locale].render(DIGEST_TYPE, CHANNELS["st"], given)
    if step == "alert":
        assert len(ticket["summary"].splitlines()) == 1
        assert len(ticket["description"]) <= 5000


def test_the_worst_message_possible_fits() -> None:
    """Ten of the worst and all cities as long as they may be, in either language."""
    huge = "&" * 500
    worst = {
        "type": "timeout_between_points",
        **dict.fromkeys(("mission_id", "point_id", "performer_id", "performer_name", "city"), huge),
        "over": timedelta(hours=23, minutes=59),
    }
    facts = {
        **DIGEST_FACTS,
        "token": huge,
        "cities": 5 * [{"city": huge, "alerts": 10**9}],
        "worst": 10 * [worst],
        "board_url": "https://o.example/board?" + "a=1&" * 119,
    }
    for renderer in RENDERERS.values():
        assert len(renderer.render(DIGEST_TYPE, CHANNELS["telegram"], facts)["text"]) <= 4096


def test_ugly_facts_of_three_hundred_cities_are_counted_and_bounded(house: House) -> None:
    configure(house, TELEGRAM)
    _insert(house, 300)
    house.database.connection.execute(
        "update scooters_ops.monitoring_notifications set details = case notification_id % 4"
        " when 0 then '{}'::jsonb when 1 then '{\"limit_seconds\": \"x\"}'"
        " when 2 then jsonb_build_object('attributes', jsonb_build_object('city',"
        " repeat('<&' || notification_id, 300)), 'performer_id', repeat('&', 5000))"
        ' else \'{"elapsed_seconds": 1e300, "limit_seconds": 1, "attributes": 3}\' end'
    )
    house.run_once()
    (message,) = house.telegram.messages
    assert "300 alerts together" in message.text
    assert "other cities 70, without a city 225" in message.text
    assert message.entities, "it was sent as HTML"
    assert told(house) == {("sent", "1")}


@pytest.mark.parametrize("locale", LOCALES)
def test_preview_and_config_check_know_digests(house: House, locale: str) -> None:
    shown = house.cli("preview", "digest", "--locale", locale, "--channel", "telegram")
    assert "300" in shown.stdout
    assert "Ivan Petrov" in shown.stdout


def test_a_channel_needs_templates_of_digests_only_if_it_makes_some(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in TEMPLATES.rglob("*.j2"):
        if "digest" not in path.parts:
            copy = tmp_path / path.relative_to(TEMPLATES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text())
    secrets = Secrets()
    made = Setup.make(1, house.document(), tmp_path, secrets)
    assert made.digest_channels == []
    assert Setup.make(1, house.document(), TEMPLATES, secrets).digest_channels == BOTH
    document = house.document(channels__telegram__digest_above=5)
    with pytest.raises(ConfigError, match=r"no template en/digest/telegram\.text\.j2"):
        Setup.make(1, document, tmp_path, secrets)
    monkeypatch.setattr(config_command, "TEMPLATES", tmp_path)
    with pytest.raises(ConfigError, match=r"no template en/digest/telegram\.text\.j2"):
        config_command._check(configs.parse(document))


def test_a_link_to_the_board_sets_filters_that_the_board_knows() -> None:
    facts = {
        "types": [{"type": "timeout_in_point", "alerts": 9}],
        "cities": [{"city": "Нижний & Co", "alerts": 9}],
        "without_city": 0,
    }
    from notifier.database.values import Delivery

    filters = Delivery.digest_filters(None, facts)  # type: ignore[arg-type]
    parsed = configs.parse(config(http__public_url="https://ops.example.org/"))
    url = parsed.board_url(filters)
    assert url is not None
    assert Filters.of(dict(parse_qsl(urlsplit(url).query))) == Filters(
        "timeout_in_point", "Нижний & Co", "", True
    )
    assert parsed.board_url({"city": "я" * 200}) == "https://ops.example.org/board"
    assert configs.parse(config()).board_url(filters) is None


def test_sample_facts_are_those_of_a_real_digest(house: House) -> None:
    configure(house, TELEGRAM)
    late(house, 4)
    plan(house)
    house.database.connection.execute(
        "update scooters_ops.notification_recipients set silence_id = 7 where recipient_id % 2 = 0"
    )
    (row,) = lease(house)
    assert (row["digest"]["alerts"], row["digest"]["silenced"]) == (4, 2)
    sample = sample_facts(DIGEST_TYPE, "alert")
    assert row["digest"].keys() == sample.keys() - {"token", "type", "step", "board_url"}
    assert {*row["digest"]["worst"][0]} - {"over_seconds"} == {*sample["worst"][0]} - {"over"}
    assert row["digest"]["worst"][0]["over_seconds"] >= 30
