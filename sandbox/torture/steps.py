"""Does every message and every ticket end with the truth, and was nobody alarmed too late?

Compares what they say, as their readers see it, with the steps in the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sandbox.torture.verdict import Row, Verdict

RANKS = {None: 0, "acknowledged": 1, "resolved": 2}


@dataclass(frozen=True)
class Step:
    """A row of the table, with what is known of its notification.

    changes  the recipient_id of the message that it changes; None: it tells something new
    reminds  the recipient_id of the alert that it repeats
    is_part  it is a comment on a ticket, not a message of its own
    key      its idempotency key, by which comments are found again
    due_at   when an escalation or reminder was due
    outcome  what the notification's messages must show: acknowledged or resolved
    digest   what may be shown by the message that tells of it among others; None: it has its own
    """

    recipient_id: int
    row: Row
    changes: int | None = None
    reminds: int | None = None
    is_part: bool = False
    key: str | None = None
    due_at: float | None = None
    outcome: str | None = None
    digest: Sequence[str | None] | None = None

    @property
    def is_message(self) -> bool:
        """Whether it must have made a message or a ticket of its own, or is told by another's."""
        is_needed = self.row.state != "cancelled" or self.row.delivery.step == "alert"
        return self.changes is None and not self.is_part and is_needed

    @property
    def is_later(self) -> bool:
        """Whether it still waits for the message that it follows."""
        return self.row.state == "waiting" and self.row.delivery.step != "alert"


@dataclass
class Note:
    """A message or a ticket.

    says      the outcome that it shows: at first, and after each edit or comment
    comments  what each comment names, in order
    """

    says: list[str | None]
    comments: list[str] = field(default_factory=list)
    is_closed: bool = False


def answers_among(steps: Sequence[Step]) -> set[str]:
    """The references of the messages that say what cannot be shown by an edit: a person found the
    earlier message, so nobody knows its number."""
    by_id = {step.recipient_id: step for step in steps}
    return {
        step.row.reference
        for step in steps
        if step.changes is not None
        and step.row.reference is not None
        and step.row.reference != by_id[step.changes].row.reference
    }


def judge_steps(
    verdict: Verdict,
    steps: Sequence[Step],
    notes: Mapping[tuple[str, str], Note],
    settled_at: Mapping[str, float],
    *,
    all_sent: bool,
) -> None:
    """Add the problems with what followed the alerts to a verdict.

    notes       every message and ticket, by channel and reference
    settled_at  when it was certain that a notification was acknowledged or resolved, by token
    all_sent    nothing may wait for a person any more
    """
    by_id = {step.recipient_id: step for step in steps}
    for (channel, reference), note in notes.items():
        for earlier, later in pairwise(note.says):
            if channel == "telegram" and RANKS[later] < RANKS[earlier]:
                verdict.problems.append(f"message {reference} went from {earlier} to {later}")
        for key, count in Counter(note.comments).items():
            if count > 1:
                verdict.problems.append(f"{reference} has {count} comments {key}")
    for step in steps:
        row = step.row
        if step.changes is not None or step.is_part:
            _check_change(verdict, step, by_id, notes, all_sent=all_sent)
        elif row.state == "sent" and all_sent and row.reference is not None:
            shown = notes.get((row.delivery.channel, row.reference))
            outcomes = (step.outcome,) if step.digest is None else step.digest
            if shown and not any(_shows(row.delivery.channel, shown, each) for each in outcomes):
                verdict.lose(f"{row.delivery}: {outcomes[0]}, but it says {shown.says[-1]}")
        if row.state == "sent" and row.delivery.step != "alert":
            verdict.followed[row.delivery.step.partition("_")[0]] += 1
        if row.state == "sent":
            _check_digest(verdict, step, by_id)
        committed_at = settled_at.get(row.delivery.token)
        is_sent = row.state == "sent"
        if is_sent and step.due_at and committed_at and step.due_at > committed_at:
            verdict.problems.append(f"{row.delivery}: sent after somebody took care")


def _check_digest(verdict: Verdict, step: Step, by_id: Mapping[int, Step]) -> None:
    """Nothing follows a digest, except that its message shows once that all is over."""
    earlier = by_id.get(step.changes or step.reminds or 0)
    if earlier is None or earlier.row.digest is None:
        return
    is_leader = earlier.row.digest == earlier.row.delivery
    if not (is_leader and step.row.delivery.step == "resolved"):
        verdict.problems.append(f"{step.row.delivery}: it follows a digest")


def _check_change(
    verdict: Verdict,
    step: Step,
    by_id: Mapping[int, Step],
    notes: Mapping[tuple[str, str], Note],
    *,
    all_sent: bool,
) -> None:
    row = step.row
    if step.changes is not None and by_id[step.changes].row.state != "sent":
        verdict.problems.append(f"{row.delivery}: it follows what was never sent")
    if not all_sent and row.state in ("failed", "in_doubt"):
        verdict.waiting[row.state] += 1
    elif row.state not in ("sent", "cancelled") and (all_sent or row.state != "waiting"):
        verdict.lose(f"{row.delivery}: {row.state}: {row.last_error}")
    if row.state == "sent" and row.delivery.channel == "st" and row.reference is not None:
        note = notes.get(("st", row.reference))
        if note is None or (step.key not in note.comments and not note.is_closed):
            verdict.lose(f"{row.delivery}: recorded as sent, but {row.reference} lacks it")


def _shows(channel: str, note: Note, outcome: str | None) -> bool:
    """A message shows its last edit, a ticket all that was said."""
    if channel == "telegram":
        return note.says[-1] == outcome
    return (
        outcome is None
        or note.is_closed
        or any(RANKS[said] >= RANKS[outcome] for said in note.says)
    )
