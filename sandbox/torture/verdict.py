"""Was anything lost, or sent twice without a reason? What the far ends have, against the table.

Nothing of what a notifier says of itself counts. A message that arrived twice is explained when its
sender could not know of the first: the answer was spoilt, the sender was killed before it could
record, it lost its lease because it was stopped or the database was away, or the far end went down.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal


@dataclass(frozen=True, order=True)
class Due:
    """Somebody who is to be told of something: a chat or a queue, and a notification's token."""

    channel: str
    address: str
    token: str

    def __str__(self) -> str:
        return f"{self.token} to {self.channel} {self.address}"


@dataclass(frozen=True)
class Taken:
    """A message or a ticket that a far end truly has. Times are seconds since 1970.

    doubt        how the answer was spoilt
    answered_at  when it had been sent; None: it never was
    """

    due: Due
    at: float
    sender: str
    reference: str
    doubt: str | None = None
    answered_at: float | None = None


@dataclass(frozen=True)
class Row:
    """What the table says of it."""

    due: Due
    state: str
    sent_at: float | None = None
    reference: str | None = None
    last_error: str | None = None


@dataclass(frozen=True)
class Mishap:
    """What was done to a sender, or else to all of them."""

    kind: Literal["killed", "stopped", "database away", "session cut", "far end down"]
    began_at: float
    ended_at: float
    sender: str = ""


@dataclass(frozen=True)
class Rules:
    """What is allowed.

    exactly_once    channels that never have anything twice, whatever happened
    held            channels whose doubtful messages wait for a person
    refused         those that a far end has refused for good, so that they may have failed
    all_sent        nothing may wait for a person any more
    lease_seconds   how long a lease lasts; patience_seconds: how long a request may take
    """

    exactly_once: Collection[str] = ("st",)
    held: Collection[str] = ()
    refused: Collection[Due] = ()
    all_sent: bool = True
    lease_seconds: float = 5.0
    patience_seconds: float = 5.0


@dataclass
class Verdict:
    """What was found. It is good when `problems` is empty; `lost` is part of them."""

    sent: int = 0
    waiting: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def lose(self, what: str) -> None:
        self.lost.append(what)
        self.problems.append(f"lost: {what}")


def judge(
    expected: Collection[Due],
    rows: Sequence[Row],
    taken: Iterable[Taken],
    completed: Mapping[str, bool],
    mishaps: Sequence[Mishap] = (),
    rules: Rules | None = None,
) -> Verdict:
    """The verdict.

    expected   who was to be told of what, as the routes were written
    completed  what monitoring_notifications says of each token
    """
    rules = rules or Rules()
    verdict = Verdict()
    arrived: defaultdict[Due, list[Taken]] = defaultdict(list)
    for each in sorted(taken, key=lambda each: each.at):
        arrived[each.due].append(each)
    by_due = {row.due: row for row in rows}
    if len(by_due) < len(rows):
        verdict.problems.append(f"{len(rows) - len(by_due)} recipients stand in the table twice")
    for stray in sorted((by_due.keys() | arrived.keys()) - set(expected)):
        verdict.problems.append(f"nobody asked for {stray}")
    for due in sorted(expected):
        row = by_due.get(due)
        if row is None:
            verdict.lose(f"{due}: not in the table")
            continue
        _compare(verdict, row, arrived[due], rules)
        _explain(verdict, row, arrived[due], mishaps, rules)
    _check_completed(verdict, expected, by_due, completed)
    return verdict


def _compare(verdict: Verdict, row: Row, arrived: Sequence[Taken], rules: Rules) -> None:
    """What the table says of one against what the far end has of it."""
    waits_rightly = not rules.all_sent and (
        (row.state == "in_doubt" and row.due.channel in rules.held)
        or (row.state == "failed" and row.due in rules.refused)
    )
    if row.state == "sent":
        if not arrived:
            verdict.lose(f"{row.due}: recorded as sent, and it never arrived")
            return
        verdict.sent += 1
        if row.sent_at is None or row.sent_at < arrived[0].at:
            verdict.problems.append(f"{row.due}: recorded as sent before it arrived")
        if row.reference is not None and row.reference not in {each.reference for each in arrived}:
            verdict.problems.append(f"{row.due}: its reference {row.reference} is another's")
    elif waits_rightly:
        verdict.waiting[row.state] += 1
    elif arrived:
        verdict.problems.append(f"{row.due}: it arrived, and is {row.state}: {row.last_error}")
    else:
        verdict.lose(f"{row.due}: {row.state}: {row.last_error}")


def _explain(
    verdict: Verdict, row: Row, arrived: Sequence[Taken], mishaps: Sequence[Mishap], rules: Rules
) -> None:
    """Why it arrived more than once."""
    if len(arrived) > 1 and row.due.channel in {*rules.exactly_once, *rules.held}:
        verdict.problems.append(f"{row.due}: arrived {len(arrived)} times, and never may twice")
        return
    for first, again in pairwise(arrived):
        cause = _cause(row, first, again, mishaps, rules)
        if cause is None:
            verdict.problems.append(
                f"{row.due}: sent again without a cause, by {first.sender} and after"
                f" {again.at - first.at:.2f} s by {again.sender}"
            )
        verdict.duplicates[cause or "without a cause"] += 1


def _cause(
    row: Row, first: Taken, again: Taken, mishaps: Sequence[Mishap], rules: Rules
) -> str | None:
    """Why the second was sent although the first had arrived."""
    if first.doubt is not None:
        return first.doubt
    near = rules.lease_seconds + rules.patience_seconds
    for mishap in mishaps:
        if mishap.began_at > again.at:
            continue
        if mishap.kind == "killed":
            is_recorded = row.sent_at is not None and row.sent_at < mishap.began_at
            is_near = abs(mishap.began_at - first.at) <= rules.lease_seconds
            if mishap.sender == first.sender != again.sender and is_near and not is_recorded:
                return "the notifier was killed before it could record"
        elif mishap.kind == "far end down":
            is_cut = first.answered_at is None or first.answered_at >= mishap.began_at
            if first.at <= mishap.ended_at and is_cut:
                return "the far end went down before its answer"
        elif mishap.ended_at + near >= first.at:
            if mishap.kind == "database away" and first.sender != again.sender:
                return "the database was away, and the lease ran out"
            if mishap.kind == "stopped" and mishap.sender in (first.sender, again.sender):
                return "the notifier was stopped for longer than its lease"
    return None


def _check_completed(
    verdict: Verdict,
    expected: Collection[Due],
    rows: Mapping[Due, Row],
    completed: Mapping[str, bool],
) -> None:
    """`completed` says of a notification what its recipients say together."""
    are_sent: defaultdict[str, list[bool]] = defaultdict(list)
    for due in expected:
        are_sent[due.token].append(due in rows and rows[due].state == "sent")
    for token, each in sorted(are_sent.items()):
        if completed.get(token) != all(each):
            verdict.problems.append(
                f"{token}: completed is {completed.get(token)}, and {sum(each)} of {len(each)}"
                " recipients are sent"
            )
