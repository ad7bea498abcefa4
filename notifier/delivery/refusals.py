"""Steps of the work loop that the database refuses for good, such as planning after a right was
revoked.

A refused step is retried with a back-off of its own, each time on a new connection, because the
server's session may remember what an upgrade has changed. Meanwhile the loop goes on with the other
steps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from logging import ERROR, INFO
from typing import TypeVar

import psycopg

from notifier.config import RetryPolicy
from notifier.database.errors import is_temporary, reason
from notifier.delivery.retry import backoff
from notifier.logs import event

Found = TypeVar("Found")


@dataclass(frozen=True)
class Refusal:
    """A step that the database refuses. Times are those of the caller's clock."""

    reason: str
    attempts: int
    again_at: float


class Refusals:
    """The steps that are refused now, by name."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._refusals: dict[str, Refusal] = {}
        self._last_error: psycopg.Error | None = None

    async def step(self, name: str, work: Callable[[], Awaitable[Found]], default: Found) -> Found:
        """The result of the work, or `default` while the step waits for its next attempt.

        Raises what the work raises, after noting it if it is a refusal.
        """
        refusal = self._refusals.get(name)
        if refusal is not None and self._clock() < refusal.again_at:
            return default
        try:
            found = await work()
        except psycopg.Error as error:
            if not is_temporary(error):
                self._refuse(name, error)
            raise
        if self._refusals.pop(name, None) is not None:
            event(INFO, "step_works_again", step=name)
        return found

    def is_refused(self, name: str) -> bool:
        """Whether the step's last attempt was refused."""
        return name in self._refusals

    def is_noted(self, error: psycopg.Error) -> bool:
        """Whether this error is a step's refusal, so that the step alone has to back off."""
        return error is self._last_error

    def again_at(self) -> float:
        """When the next refused step is due for another attempt; infinity: none is refused."""
        return min((each.again_at for each in self._refusals.values()), default=float("inf"))

    def problem(self) -> str | None:
        """What is refused, for people; None: nothing."""
        lines = [f"{name}: {refusal.reason}" for name, refusal in self._refusals.items()]
        return f"the database refuses to {'; to '.join(lines)}" if lines else None

    def _refuse(self, name: str, error: psycopg.Error) -> None:
        self._last_error = error
        known = self._refusals.get(name)
        attempts = 1 if known is None else known.attempts + 1
        delay = backoff(self._policy, attempts, jitter=1).total_seconds()
        self._refusals[name] = Refusal(reason(error), attempts, self._clock() + delay)
        if known is None or known.reason != reason(error):  # each reason is logged once
            event(ERROR, "database_refuses", step=name, reason=reason(error))
