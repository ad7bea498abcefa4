"""What the stand-ins and the table say, put before the judge; and what a person would then do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sandbox.standins import Entry, StandIn
from sandbox.torture.scene import Scene
from sandbox.torture.tokens import delivery_of, last_word, token_of
from sandbox.torture.verdict import (
    Arrival,
    Delivery,
    Disruption,
    Row,
    Rules,
    Verdict,
    judge,
)

PERMANENT = frozenset({400, 403, 404, 409, 412, 422, 423, 428})
"""Statuses after which a notifier may mark a recipient failed."""


def verdict_on(scene: Scene, disruptions: Sequence[Disruption], *, all_sent: bool) -> Verdict:
    """Compare what the stand-ins have with what the table says.

    all_sent  whether nothing may wait for a person any more
    """
    settings = scene.settings
    expected = {
        Delivery(channel, address, token_of(number))
        for number in range(1, scene.notifications + 1)
        for channel, address in (
            ("telegram", str(settings.chat_id(number))),
            ("st", settings.queue(number)),
        )
    }
    rows = [
        Row(
            Delivery(row["channel"], row["address"], row["idempotency_token"]),
            row["state"],
            row["sent_at"],
            row["reference"],
            row["last_error"],
        )
        for row in scene.query(
            "select channel, coalesce(target ->> 'chat_id', target ->> 'queue') as address,"
            " idempotency_token, state, extract(epoch from sent_at)::float as sent_at,"
            " reference, last_error from scooters_ops.notification_deliveries"
        )
    ]
    completed = {
        row["idempotency_token"]: row["completed"]
        for row in scene.query(
            "select idempotency_token, completed from scooters_ops.notifications"
        )
    }
    rules = Rules(
        held=("telegram",) if settings.in_doubt == "hold" else (),
        refused=frozenset(_refused(scene)),
        all_sent=all_sent,
        lease_seconds=settings.lease_seconds,
        timeout_seconds=settings.timeout_seconds,
    )
    return judge(expected, rows, arrivals(scene), completed, disruptions, rules)


def arrivals(scene: Scene) -> list[Arrival]:
    """Every message and ticket that the stand-ins accepted."""
    return [
        _as_arrival(scene, stand_in, entry)
        for stand_in in scene.stand_ins
        for entry in stand_in.ledger
        if entry.accepted is not None
    ]


def decide(scene: Scene) -> Counter[str]:
    """Do what a person does with deliveries that wait: record as sent what the stand-ins have, and
    retry the rest, whether in doubt or failed. Returns how many of each."""
    decided: Counter[str] = Counter()
    arrived = {each.delivery for each in arrivals(scene)}
    for row in scene.query(
        "select channel, coalesce(target ->> 'chat_id', target ->> 'queue') as address,"
        " idempotency_token from scooters_ops.notification_deliveries"
        " where state = 'in_doubt' order by notification_id"
    ):
        delivery = Delivery(row["channel"], row["address"], row["idempotency_token"])
        if delivery in arrived:
            scene.query_as_notifier(
                "select scooters_ops.confirm_deliveries(%s, %s)", delivery.token, delivery.channel
            )
            decided["recorded as sent"] += 1
    (row,) = scene.query_as_notifier("select scooters_ops.retry_deliveries() as count")
    decided["retried"] += row["count"]
    return decided


def _as_arrival(scene: Scene, stand_in: StandIn, entry: Entry) -> Arrival:
    timeout = scene.settings.timeout_seconds
    fault = entry.fault
    came_at = entry.arrived_at - entry.waited_seconds
    doubt = None
    if fault is not None and (fault.hides_success or fault.delay_seconds > timeout):
        doubt = fault.name
    elif (entry.answered_at or entry.arrived_at) - came_at > timeout / 2:
        doubt = "the stand-in was too slow"
    delivery, reference = delivery_of(entry.accepted)
    sender = scene.sender_of(stand_in, entry)
    return Arrival(delivery, entry.arrived_at, sender, reference, doubt, entry.answered_at)


def _refused(scene: Scene) -> Iterator[Delivery]:
    """The deliveries that a stand-in has refused for good at least once."""
    for entry in scene.telegram.ledger:
        if entry.accepted is None and entry.status in PERMANENT:
            text = str(entry.call.body["text"])
            yield Delivery("telegram", str(entry.call.body["chat_id"]), last_word(text))
    for entry in scene.tracker.ledger:
        if entry.call.operation == "create" and entry.status in PERMANENT:
            body = entry.call.body
            yield Delivery("st", body["queue"], last_word(body["description"]))
