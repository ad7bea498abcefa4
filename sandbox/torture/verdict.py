"""Was anything lost, or sent twice without a reason? Compares the stand-ins with the table.

Nothing that a notifier says about itself counts. A second message is explained when its sender
could not know of the first one: the first answer was spoilt, its sender was killed before it could
record, it lost its lease because it was stopped or the database was down, or the stand-in went
down.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal


@dataclass(frozen=True, order=True)
class Delivery:
    """One notification to one recipient: a chat or a queue, and the notification's token. An
    escalation or reminder is a delivery of its own."""

    channel: str
    address: str
    token: str
    step: str = "alert"

    def __str__(self) -> str:
        step = "" if self.step == "alert" else f" ({self.step})"
        return f"{self.token} to {self.channel} {self.address}{step}"


@dataclass(frozen=True)
class Told:
    """What a digest says: of how many alerts it tells, and the missions that it names."""

    alerts: int
    missions: Sequence[str]


@dataclass(frozen=True)
class Arrival:
    """A message or a ticket that a stand-in has accepted. Times are seconds since 1970.

    doubt        how the answer was spoilt; None: it was not
    answered_at  when the whole answer had been sent; None: it never was
    told         what a digest says; None: it tells of this delivery alone
    digest       the delivery under whose name a digest tells of this one among others
    """

    delivery: Delivery
    at: float
    sender: str
    reference: str
    doubt: str | None = None
    answered_at: float | None = None
    told: Told | None = None
    digest: Delivery | None = None


@dataclass(frozen=True)
class Row:
    """What the table says about a delivery.

    digest      the delivery whose message tells of this one among others; None: it has its own
    mission     the mission that it is about
    not_before  until when a silence held it from the beginning (seconds since 1970)
    is_held     a silence holds it or held it
    is_muted    its notification was resolved before the silence was over
    """

    delivery: Delivery
    state: str
    sent_at: float | None = None
    reference: str | None = None
    last_error: str | None = None
    digest: Delivery | None = None
    mission: str = ""
    not_before: float | None = None
    is_held: bool = False
    is_muted: bool = False


@dataclass(frozen=True)
class Disruption:
    """Something that was done to one notifier, or to all of them where `sender` is empty. Times
    are seconds since 1970."""

    kind: Literal["killed", "stopped", "database down", "session terminated", "stand-in down"]
    began_at: float
    ended_at: float
    sender: str = ""


@dataclass(frozen=True)
class Rules:
    """What is allowed.

    exactly_once     channels where nothing may arrive twice, whatever happened
    held             channels whose deliveries in doubt wait for a person
    refused          deliveries that a stand-in has refused for good: they may be failed
    all_sent         nothing may wait for a person any more
    lease_seconds    how long a lease lasts
    timeout_seconds  how long a request may take
    """

    exactly_once: Collection[str] = ("st",)
    held: Collection[str] = ()
    refused: Collection[Delivery] = ()
    all_sent: bool = True
    lease_seconds: float = 5.0
    timeout_seconds: float = 5.0


@dataclass
class Verdict:
    """The result. The run was good if `problems` is empty; `lost` is a part of them.

    sent        alerts that are recorded as sent and did arrive
    together    those among them that a digest tells of
    held        alerts that a silence held
    muted       those among them that were over before the silence, and so never sent
    followed    edits, comments, escalations and reminders that are recorded as sent, by kind
    waiting     deliveries that rightly wait for a person, by state
    duplicates  second messages, by what explains them
    """

    sent: int = 0
    together: int = 0
    held: int = 0
    muted: int = 0
    followed: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def lose(self, what: str) -> None:
        self.lost.append(what)
        self.problems.append(f"lost: {what}")


def judge(
    expected: Collection[Delivery],
    rows: Sequence[Row],
    arrivals: Iterable[Arrival],
    completed: Mapping[str, bool],
    disruptions: Sequence[Disruption] = (),
    rules: Rules | None = None,
) -> Verdict:
    """Compare what should have been delivered with the table and with what arrived.

    expected   every delivery that the routes ask for
    completed  `monitoring_notifications.completed` by token
    """
    rules = rules or Rules()
    verdict = Verdict()
    arrived: defaultdict[Delivery, list[Arrival]] = defaultdict(list)
    for arrival in sorted(arrivals, key=lambda arrival: arrival.at):
        arrived[arrival.delivery].append(arrival)
    row_of = {row.delivery: row for row in rows}
    if len(row_of) < len(rows):
        verdict.problems.append(f"{len(rows) - len(row_of)} recipients are in the table twice")
    for stray in sorted((row_of.keys() | arrived.keys()) - set(expected)):
        verdict.problems.append(f"not expected: {stray}")
    for delivery in sorted(expected):
        row = row_of.get(delivery)
        if row is None:
            verdict.lose(f"{delivery}: not in the table")
            continue
        _compare(verdict, row, arrived[delivery], rules)
        _explain(verdict, row, arrived[delivery], disruptions, rules)
    _check_completed(verdict, expected, row_of, completed)
    return verdict


def _compare(verdict: Verdict, row: Row, arrived: Sequence[Arrival], rules: Rules) -> None:
    """Compare what the table says about a delivery with what arrived."""
    waits_rightly = not rules.all_sent and (
        (row.state == "in_doubt" and row.delivery.channel in rules.held)
        or (row.state == "failed" and row.delivery in rules.refused)
    )
    is_alert = row.delivery.step == "alert"
    verdict.held += is_alert and row.is_held
    if row.not_before is not None and arrived and arrived[0].at < row.not_before:
        early = row.not_before - arrived[0].at
        verdict.problems.append(f"{row.delivery}: arrived {early:.2f} s too early for a silence")
    if row.state == "sent":
        if not arrived:
            verdict.lose(f"{row.delivery}: recorded as sent, but it never arrived")
            return
        verdict.sent += is_alert
        verdict.together += is_alert and row.digest is not None
        if row.sent_at is None or row.sent_at < arrived[0].at:
            verdict.problems.append(f"{row.delivery}: recorded as sent before it arrived")
        own = {each.reference for each in arrived if each.digest == row.digest}
        if row.reference is not None and row.reference not in own:
            verdict.problems.append(
                f"{row.delivery}: reference {row.reference} belongs to something else"
            )
    elif row.state == "cancelled" and row.is_muted and not arrived:
        verdict.muted += 1
    elif waits_rightly:
        verdict.waiting[row.state] += 1
    elif arrived:
        verdict.problems.append(
            f"{row.delivery}: it arrived, but its state is {row.state}: {row.last_error}"
        )
    else:
        verdict.lose(f"{row.delivery}: {row.state}: {row.last_error}")


def _explain(
    verdict: Verdict,
    row: Row,
    arrived: Sequence[Arrival],
    disruptions: Sequence[Disruption],
    rules: Rules,
) -> None:
    """Find out why a delivery arrived more than once."""
    if len(arrived) > 1 and row.delivery.channel in {*rules.exactly_once, *rules.held}:
        verdict.problems.append(
            f"{row.delivery}: arrived {len(arrived)} times, must never arrive twice"
        )
        return
    for first, again in pairwise(arrived):
        cause = _cause(row, first, again, disruptions, rules)
        if cause is None:
            verdict.problems.append(
                f"{row.delivery}: sent again without a cause, by {first.sender} and"
                f" {again.at - first.at:.2f} s later by {again.sender}"
            )
        verdict.duplicates[cause or "without a cause"] += 1


def _cause(
    row: Row, first: Arrival, again: Arrival, disruptions: Sequence[Disruption], rules: Rules
) -> str | None:
    """Why the second message was sent although the first one had arrived."""
    if first.doubt is not None:
        return first.doubt
    reach_seconds = rules.lease_seconds + rules.timeout_seconds
    for disruption in disruptions:
        if disruption.began_at > again.at:
            continue
        if disruption.kind == "killed":
            is_recorded = row.sent_at is not None and row.sent_at < disruption.began_at
            is_near = abs(disruption.began_at - first.at) <= rules.lease_seconds
            if disruption.sender == first.sender != again.sender and is_near and not is_recorded:
                return "the notifier was killed before it could record"
        elif disruption.kind == "stand-in down":
            is_cut = first.answered_at is None or first.answered_at >= disruption.began_at
            if first.at <= disruption.ended_at and is_cut:
                return "the stand-in went down before its answer"
        elif disruption.ended_at + reach_seconds >= first.at:
            if disruption.kind == "database down" and first.sender != again.sender:
                return "the database was down and the lease ran out"
            if disruption.kind == "stopped" and disruption.sender in (first.sender, again.sender):
                return "the notifier was stopped for longer than its lease"
    return None


def _check_completed(
    verdict: Verdict,
    expected: Collection[Delivery],
    row_of: Mapping[Delivery, Row],
    completed: Mapping[str, bool],
) -> None:
    """A notification must be completed exactly when all its recipients are sent, or need nothing
    because it was over before a silence."""
    are_sent: defaultdict[str, list[bool]] = defaultdict(list)
    for delivery in (each for each in expected if each.step == "alert"):
        row = row_of.get(delivery)
        are_sent[delivery.token].append(
            row is not None and (row.state == "sent" or (row.state == "cancelled" and row.is_muted))
        )
    for token, each in sorted(are_sent.items()):
        if completed.get(token) != all(each):
            verdict.problems.append(
                f"{token}: completed is {completed.get(token)}, but {sum(each)} of {len(each)}"
                " recipients are sent"
            )
