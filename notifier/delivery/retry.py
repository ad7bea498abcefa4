"""What the outcome of a send means for its recipient: sent, try again later, give up, or let a
person decide.

Values in, a value out: the time waited, the random number and the policy are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from notifier.channels.outcomes import Blocked, Failed, InDoubt, Misconfigured, Outcome, Retry, Sent
from notifier.config import RetryPolicy
from notifier.database.values import Delivery, Result


def backoff(policy: RetryPolicy, failures: int, jitter: float) -> timedelta:
    """How long to wait after this many failures in a row (1 or more).

    jitter  from 0 to 1: spreads what failed together over the last fifth of the wait
    """
    exponent = min(failures - 1, 1000)  # a float can hold no more
    try:
        seconds = policy.first_seconds * policy.factor**exponent
    except OverflowError:
        seconds = policy.max_seconds
    return timedelta(seconds=min(seconds, policy.max_seconds) * (0.8 + 0.2 * jitter))


def _as_long_again(policy: RetryPolicy, waited: timedelta, jitter: float) -> timedelta:
    """How long to wait if no attempt counts: as long again as it has waited, within the policy."""
    seconds = min(max(waited.total_seconds(), policy.first_seconds), policy.max_seconds)
    return timedelta(seconds=seconds * (0.8 + 0.2 * jitter))


def result(
    delivery: Delivery,
    outcome: Outcome,
    policy: RetryPolicy,
    in_doubt: Literal["resend", "hold"],
    jitter: float,
) -> Result:
    """What to record of a delivery with this outcome."""
    id_ = delivery.recipient_id
    match outcome:
        case Sent(reference, moved_to, sent_to):
            moved = _new(delivery, moved_to)
            return Result(
                id_,
                "sent",
                reference=reference,
                sent_to=sent_to,
                is_earlier=outcome.is_earlier,
                moved_to=moved,
            )
        case Failed(reason):
            accepted = outcome.is_authenticated
            return Result(id_, "failed", error=reason, is_channel_accepted=accepted)
        case Misconfigured(reason):
            # The channel waits, not this recipient: the attempt does not count.
            return Result(id_, "pending", is_attempt=False, error=reason, is_channel_refused=True)
        case Blocked(reason):
            # It is never given up, however long a fix takes.
            return Result(
                id_,
                "pending",
                is_attempt=False,
                is_blocked=True,
                delay_seconds=_as_long_again(policy, delivery.waited, jitter).total_seconds(),
                error=reason,
            )
        case InDoubt(reason) if in_doubt == "hold":
            return Result(id_, "in_doubt", error=reason)
        case Retry(reason) | InDoubt(reason):
            stated = outcome.delay if isinstance(outcome, Retry) else None
            accepted = isinstance(outcome, Retry) and outcome.is_authenticated
            hold_seconds = 0 if stated is None else stated.total_seconds()
            if delivery.attempts >= policy.give_up_after_attempts:
                return Result(
                    id_,
                    "failed",
                    error=f"gave up after {delivery.attempts} attempts: {reason}",
                    hold_seconds=hold_seconds,
                    is_channel_accepted=accepted,
                )
            delay = backoff(policy, delivery.attempts, jitter) if stated is None else stated
            return Result(
                id_,
                "pending",
                delay_seconds=delay.total_seconds(),
                error=reason,
                is_in_doubt=isinstance(outcome, InDoubt) or outcome.is_in_doubt,
                hold_seconds=hold_seconds,
                is_channel_accepted=accepted,
            )


def _new(delivery: Delivery, moved_to: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The fields of the target that changed because the server said where it has moved."""
    if moved_to is None:
        return None
    return {key: value for key, value in moved_to.items() if delivery.target.get(key) != value}
