"""What the stand-ins and the table say, put before the judge; and what a person would then do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox.standins import Entry, StandIn
from sandbox.torture.digests import members_of, spread
from sandbox.torture.scene import Scene
from sandbox.torture.settings import ESCALATES_AFTER_SECONDS
from sandbox.torture.steps import Note, Step, answers_among, judge_steps
from sandbox.torture.tokens import (
    delivery_of,
    last_word,
    outcome_of,
    step_of,
    text_of,
    token_of,
    told_by,
)
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

STEPS = """
select
    step.recipient_id,
    step.channel,
    coalesce(step.target ->> 'chat_id', step.target ->> 'queue') as address,
    step.idempotency_token,
    step.step,
    step.state,
    step.reference,
    step.follows,
    step.last_error,
    recipient.idempotency_key,
    extract(epoch from step.sent_at)::float as sent_at,
    case
        when step.step ~ '^escalation'
            then extract(epoch from step.created_at)::float + %(after_seconds)s
        when step.step ~ '^reminder'
            then (
                select extract(epoch from earlier.sent_at)::float + %(after_seconds)s
                from scooters_ops.notification_recipients as earlier
                where earlier.recipient_id = step.follows
            )
    end as due_at,
    case
        when notification.resolved_at is not null then 'resolved'
        when notification.acknowledged_at is not null then 'acknowledged'
    end as outcome,
    notification.mission_id,
    notification.type::text as type,
    notification.resolved_at is not null
    or notification.acknowledged_at is not null as is_settled,
    extract(epoch from notification.resolved_at)::float as resolved_at,
    extract(epoch from notification.planned_at)::float as planned_at,
    case when step.step = 'alert' then recipient.digest_id end as digest_id,
    recipient.silence_id
from scooters_ops.notification_steps as step
inner join scooters_ops.notification_recipients as recipient using (recipient_id)
inner join scooters_ops.monitoring_notifications as notification
    on step.notification_id = notification.notification_id
order by step.recipient_id
"""


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
    steps = _steps(scene)
    rows = [step.row for step in steps if step.is_message and not (step.is_later and not all_sent)]
    expected |= {row.delivery for row in rows if row.delivery.step != "alert"}
    completed = {
        row["idempotency_token"]: row["completed"]
        for row in scene.query(
            "select idempotency_token, completed from scooters_ops.notifications"
        )
    }
    rules = Rules(
        held=("telegram",) if settings.in_doubt == "hold" else (),
        refused=frozenset(_refused(scene, steps)),
        all_sent=all_sent,
        lease_seconds=settings.lease_seconds,
        timeout_seconds=settings.timeout_seconds,
    )
    answers = answers_among(steps)
    found, problems = arrivals(scene, steps)
    arrived = [each for each in found if each.reference not in answers]
    verdict = judge(expected, rows, arrived, completed, disruptions, rules)
    verdict.problems += problems
    verdict.problems += _hidden_but_told(scene)
    judge_steps(verdict, steps, _notes(scene), scene.settled_at, all_sent=all_sent)
    return verdict


def _steps(scene: Scene) -> list[Step]:
    """Every row of the table."""
    found = scene.query(STEPS.replace("%(after_seconds)s", str(ESCALATES_AFTER_SECONDS)))
    told = {row["recipient_id"]: row for row in found}
    members: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in found:
        if row["digest_id"] is not None:
            members[row["digest_id"]].append(row)
    outcomes = {digest_id: _outcomes(rows) for digest_id, rows in members.items()}
    steps = []
    for row in found:
        step = _as_step(scene, row)
        if (digest_id := row["digest_id"]) is not None:
            step = replace(
                step,
                digest=outcomes[digest_id],
                row=replace(step.row, digest=_delivery(told[digest_id])),
            )
        steps.append(step)
    return steps


def _outcomes(members: Sequence[Mapping[str, Any]]) -> tuple[str | None, ...]:
    """What a digest of these may show: that they are over, as soon as all timeouts are."""
    timeouts = [row for row in members if row["type"] != "job_skipped"]
    if timeouts and all(row["outcome"] == "resolved" for row in timeouts):
        return ("resolved",)
    is_over_maybe = all(row["is_settled"] for row in members)
    return (None, "resolved") if is_over_maybe else (None,)


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return Delivery(row["channel"], row["address"], row["idempotency_token"], row["step"])


def _held_until(scene: Scene, row: Mapping[str, Any]) -> float | None:
    """Until when silences that were there when it was planned must have held it."""
    facts = _facts(scene, row)
    ends = [
        silence.ends_from
        for silence in scene.silences.values()
        if silence.is_sure
        and row["planned_at"] is not None
        and silence.placed_at < row["planned_at"] < silence.ends_from
        and silence.matches(facts)
    ]
    return max(ends, default=None)


def _is_muted(scene: Scene, row: Mapping[str, Any]) -> bool:
    """Whether its silence lasted until it was resolved."""
    silence = scene.silences.get(row["silence_id"])
    return (
        silence is not None
        and silence.matches(_facts(scene, row))
        and row["resolved_at"] is not None
        and row["resolved_at"] <= silence.ends_by
    )


def _hidden_but_told(scene: Scene) -> Iterator[str]:
    """Timeouts that were told of although an override hid them."""
    rows = scene.query(
        "select idempotency_token, mission_id, type::text,"
        " extract(epoch from created_at)::float as created_at from scooters_ops.notifications"
    )
    for row in rows if scene.hides else ():
        facts = _facts(scene, row)
        for hide in scene.hides:
            if hide.hides(facts) and hide.began_at < row["created_at"] < hide.ends_at:
                yield f"{row['idempotency_token']}: told of although an override hides it"


def _facts(scene: Scene, row: Mapping[str, Any]) -> dict[str, str]:
    number = int(row["mission_id"].removeprefix("m"))
    zone = f"z{number % scene.settings.chats}"
    return {"zone": zone, "type": row["type"], "mission_id": row["mission_id"]}


def _as_step(scene: Scene, row: Mapping[str, Any]) -> Step:
    kind, _, _ = row["step"].partition("_")
    is_change = kind in ("acknowledged", "resolved")
    held_until = _held_until(scene, row)
    due_at = row["due_at"]
    if held_until is not None and kind == "escalation":
        held_until += ESCALATES_AFTER_SECONDS
        due_at = max(due_at, held_until)
    return Step(
        recipient_id=row["recipient_id"],
        row=Row(
            _delivery(row),
            row["state"],
            row["sent_at"],
            row["reference"],
            row["last_error"],
            mission=row["mission_id"],
            not_before=held_until,
            is_held=row["silence_id"] is not None,
            is_muted=_is_muted(scene, row),
        ),
        changes=row["follows"] if is_change else None,
        reminds=row["follows"] if kind == "reminder" else None,
        is_part=kind == "reminder" and row["channel"] == "st",
        key=row["idempotency_key"],
        due_at=due_at,
        outcome=row["outcome"],
    )


def _notes(scene: Scene) -> dict[tuple[str, str], Note]:
    """What every message and ticket says, as it changed, by channel and reference."""
    notes = {
        ("telegram", str(message.message_id)): Note([outcome_of(message.text)])
        for message in scene.telegram.messages
    }
    for edit in scene.telegram.edits:
        notes["telegram", str(edit.message_id)].says.append(outcome_of(edit.text))
    for ticket in scene.tracker.tickets:
        notes["st", ticket.key] = Note(
            [outcome_of(each) for each in (ticket.description, *(c.text for c in ticket.comments))],
            [last_word(comment.text) for comment in ticket.comments],
            is_closed=scene.tracker.statuses[ticket.status] == "done",
        )
    return notes


def arrivals(scene: Scene, steps: Sequence[Step]) -> tuple[list[Arrival], list[str]]:
    """Every message and ticket that the stand-ins accepted, a digest once for each alert that it
    tells of; and what is wrong with digests."""
    found = [
        _as_arrival(scene, stand_in, entry)
        for stand_in in scene.stand_ins
        for entry in stand_in.ledger
        if entry.accepted is not None
    ]
    answers = answers_among(steps)
    return spread(
        [each if each.reference not in answers else replace(each, told=None) for each in found],
        [step.row for step in steps],
    )


def decide(scene: Scene) -> Counter[str]:
    """Do what a person does with deliveries that wait: record as sent what the stand-ins have, and
    retry the rest, whether in doubt or failed. Returns how many of each."""
    decided: Counter[str] = Counter()
    found, _ = arrivals(scene, _steps(scene))
    arrived = {each.delivery for each in found}
    for row in scene.query(
        "select channel, coalesce(target ->> 'chat_id', target ->> 'queue') as address,"
        " idempotency_token, step from scooters_ops.notification_steps"
        " where state = 'in_doubt' order by recipient_id"
    ):
        delivery = Delivery(row["channel"], row["address"], row["idempotency_token"], row["step"])
        if delivery in arrived:
            (row,) = scene.query_as_notifier(
                "select scooters_ops.confirm_deliveries(%s, %s) as count",
                delivery.token,
                delivery.channel,
            )
            decided["recorded as sent"] += row["count"]
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
    told = told_by(text_of(entry.accepted))
    return Arrival(delivery, entry.arrived_at, sender, reference, doubt, entry.answered_at, told)


def _refused(scene: Scene, steps: Sequence[Step]) -> Iterator[Delivery]:
    """The deliveries that a stand-in has refused for good at least once, with all that a digest
    tells of."""
    members = members_of(step.row for step in steps)
    for delivery in _refused_messages(scene):
        yield delivery
        yield from (row.delivery for row in members.get(delivery, ()))


def _refused_messages(scene: Scene) -> Iterator[Delivery]:
    for entry in scene.telegram.ledger:
        is_message = entry.call.operation == "sendMessage"
        if is_message and entry.accepted is None and entry.status in PERMANENT:
            text, chat_id = str(entry.call.body["text"]), str(entry.call.body["chat_id"])
            yield Delivery("telegram", chat_id, last_word(text), step_of(text))
    for entry in scene.tracker.ledger:
        if entry.call.operation == "create" and entry.status in PERMANENT:
            body = entry.call.body
            step = step_of(body["summary"])
            yield Delivery("st", body["queue"], last_word(body["description"]), step)
