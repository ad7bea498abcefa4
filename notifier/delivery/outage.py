"""The time without a database: it is away, or it refuses the whole work loop."""

from __future__ import annotations

from logging import ERROR, INFO

import psycopg

from notifier.config import RetryPolicy
from notifier.database.errors import is_temporary, reason
from notifier.delivery.retry import backoff
from notifier.logs import event

RECONNECT = RetryPolicy(first_seconds=0.5, factor=2, max_seconds=30, give_up_after_attempts=1000)


class Outage:
    """At most one outage at a time. Each reason is logged once, however long it lasts: the first is
    often that the connection broke, and the next one says why."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Its start in the event loop's time; None: there is none."""
        self.attempts = 0
        """How many attempts to connect and work have failed."""
        self.refusal: str | None = None
        """What the database refuses, for people; None: it is away, or there is no outage."""
        self._reasons: set[str] = set()

    def failed(self, error: psycopg.Error, now: float) -> None:
        """One more attempt has failed."""
        is_new = self.since is None
        if is_new:
            self.since = now
            self._reasons.clear()
        is_logged = reason(error) in self._reasons
        self._reasons.add(reason(error))
        if is_temporary(error):
            self.refusal = None
            if not is_logged:
                event(ERROR, "database_lost" if is_new else "database_still_lost", reason=error)
        else:
            self.refusal = f"the database refuses the work loop: {reason(error)}"
            if not is_logged:
                event(ERROR, "database_refuses", step="work", reason=reason(error))
        self.attempts += 1

    def ended(self) -> None:
        """The work loop has completed a cycle."""
        if self.since is not None:
            event(INFO, "database_back", attempts=self.attempts)
            self.since, self.attempts, self.refusal = None, 0, None

    def delay_seconds(self) -> float:
        """How long to wait before the next attempt."""
        return backoff(RECONNECT, self.attempts, jitter=1).total_seconds()
