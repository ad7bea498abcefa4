"""What goes into a channel and what comes out: a message and its outcome.

An outcome says whether trying again helps, and when:

    Outcome
    ├── Sent           the server has it
    ├── Failed         refused for good: trying again cannot help
    ├── Retry          certainly not delivered, or safe to repeat: try again later
    ├── InDoubt        it may or may not have been delivered, and nothing can tell
    ├── Misconfigured  the server refuses the channel itself (a revoked token), not this message
    └── Blocked        there is no message yet: a person must first repair a template, for example
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Earlier:
    """A message that was sent before, which a step changes or answers.

    key        its idempotency key
    reference  the message's id or the ticket's key; None: a person found that it had arrived
    address    the chat or queue that has it
    """

    key: str
    reference: str | None
    address: str


@dataclass(frozen=True)
class Button:
    """A button of a message: its label, and what the channel reports when it is pressed."""

    label: str
    data: str


@dataclass(frozen=True)
class Message:
    """One step of one notification for one recipient.

    key      idempotency key of this delivery: unique to the notification, the recipient and the
             step
    target   the recipient as the routes named it, e.g. {"type": "telegram", "chat_id": -1001}
    parts    the rendered template parts by name, one for each of `Channel.parts_of(step)`
    step     one of notifier.steps.STEPS
    earlier  the message that this step changes or answers; None: it is a message of its own
    button   None: no button, or no longer
    may_be_sent  an earlier attempt may have sent it as a new message, so none may be sent
    """

    key: str
    target: Mapping[str, Any]
    parts: Mapping[str, str]
    step: str = "alert"
    earlier: Earlier | None = None
    button: Button | None = None
    may_be_sent: bool = False


@dataclass(frozen=True)
class Sent:
    """The server has the message. `reference` is the message's id or the ticket's key; `moved_to`
    is the target's new form when the server said that the old one is no longer valid; `sent_to` is
    the chat that has the message, if that is not clear from the target; `is_earlier`: an earlier
    attempt made the message, so it says what was known then."""

    reference: str
    moved_to: Mapping[str, Any] | None = None
    sent_to: str | None = None
    is_earlier: bool = field(default=False, compare=False)


# is_authenticated: the API itself answered, which proves that it accepted our credentials. It is
# not part of what happened to the message, so comparisons ignore it.


@dataclass(frozen=True)
class Failed:
    """Refused for good: trying again cannot help."""

    reason: str
    is_authenticated: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Retry:
    """Certainly not delivered, or safe to repeat. `delay` is the wait that the server asked for;
    `is_in_doubt`: the server may have it."""

    reason: str
    delay: timedelta | None = None
    is_authenticated: bool = field(default=False, compare=False)
    is_in_doubt: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class InDoubt:
    """The server may have the message, and the channel cannot find out."""

    reason: str


@dataclass(frozen=True)
class Misconfigured:
    """The server refuses the channel itself, which can send nothing until somebody repairs it. The
    message is not to blame."""

    reason: str


@dataclass(frozen=True)
class Blocked:
    """Nothing was sent, because no message can be made until a person repairs something: a
    template, or a program that is older than the database."""

    reason: str


Outcome: TypeAlias = Sent | Failed | Retry | InDoubt | Misconfigured | Blocked
