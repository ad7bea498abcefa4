"""What this process counts for /metrics; what the database counts is in the view metrics.

No label is an identifier, so that the number of series stays small.
"""

from __future__ import annotations

import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from notifier.channels.outcomes import Blocked, Failed, InDoubt, Misconfigured, Outcome, Retry, Sent

# Otherwise each counter has a second series, which nobody needs.
disable_created_metrics()  # type: ignore[no-untyped-call]

PREFIX = "scooters_ops_"
OUTCOMES: dict[type[Outcome], str] = {
    Sent: "sent",
    Failed: "failed",
    Retry: "retry",
    InDoubt: "in_doubt",
    Misconfigured: "refused",
    Blocked: "blocked",
}
LATENCY_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600)


class Metrics:
    """The metrics of one process, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._deliveries = Counter(
            f"{PREFIX}deliveries",
            "Delivery attempts of this process by outcome: sent, retry (later), failed (for good),"
            " in_doubt (it may have arrived), refused (the channel refuses all requests), blocked"
            " (the message cannot be rendered).",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self._latency = Histogram(
            f"{PREFIX}delivery_latency_seconds",
            "Time from a notification's insertion until this process sent it.",
            ["channel"],
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        self.leases = Counter(
            f"{PREFIX}leases",
            "Recipients leased by this process.",
            ["channel"],
            registry=self.registry,
        )
        self.leases_lost = Counter(
            f"{PREFIX}leases_lost",
            "Leases that expired during a send, so that another notifier may have sent as well.",
            registry=self.registry,
        )
        self.database_errors = Counter(
            f"{PREFIX}database_errors",
            "Times that the database was lost, could not be reached, or took too long: for the work"
            " loop (notifier) or for the HTTP server (http).",
            ["part"],
            registry=self.registry,
        )
        for part in ("notifier", "http"):
            self.database_errors.labels(part)
        self.http_unauthorized = Counter(
            f"{PREFIX}http_unauthorized",
            "Requests under /v1 refused with 401 because they lacked the right token.",
            registry=self.registry,
        )
        self.http_connections_cut = Counter(
            f"{PREFIX}http_connections_cut",
            "HTTP connections closed by the server while it waited for their callers: too slow"
            " (slow), or too many at once (crowded).",
            ["reason"],
            registry=self.registry,
        )
        for reason in ("slow", "crowded"):
            self.http_connections_cut.labels(reason)
        self.http_pool_waiting = Gauge(
            f"{PREFIX}http_pool_waiting",
            "HTTP requests that wait for a database connection of the pool.",
            ["pool"],
            registry=self.registry,
        )
        self.in_flight = Gauge(
            f"{PREFIX}in_flight",
            "Sends of this process in progress.",
            registry=self.registry,
        )
        self.cycles = Counter(
            f"{PREFIX}cycles",
            "Completed cycles of the work loop; `notifier serve` has none.",
            registry=self.registry,
        )
        self.last_cycle = Gauge(
            f"{PREFIX}last_cycle_timestamp_seconds",
            "When the work loop last completed a cycle (seconds since 1970); 0: never.",
            registry=self.registry,
        )

    def cycled(self, in_flight: int) -> None:
        """The work loop has completed a cycle."""
        self.cycles.inc()
        self.last_cycle.set(time.time())
        self.in_flight.set(in_flight)

    def attempted(self, channel: str, outcome: Outcome, latency_seconds: float) -> None:
        """A delivery attempt had this outcome, so long after the notification was inserted."""
        self._deliveries.labels(channel, OUTCOMES[type(outcome)]).inc()
        if isinstance(outcome, Sent):
            self._latency.labels(channel).observe(latency_seconds)
