"""What this process has done, counted for /metrics; what the database knows is in its view metrics.

No label is an identifier: there are as many series as channels, outcomes and buckets.
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

# Else each counter has a second series, which nobody asks for.
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
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._deliveries = Counter(
            f"{PREFIX}deliveries",
            "Attempts to deliver that this process made, by what they came to: sent, retry (later),"
            " failed (for good), in_doubt (it may have arrived), refused (the whole channel is),"
            " blocked (no message can be made of it).",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self._latency = Histogram(
            f"{PREFIX}delivery_latency_seconds",
            "From a notification's insertion to its being sent by this process.",
            ["channel"],
            buckets=LATENCY_SECONDS,
            registry=self.registry,
        )
        self.leases = Counter(
            f"{PREFIX}leases",
            "Recipients that were leased to this process.",
            ["channel"],
            registry=self.registry,
        )
        self.leases_lost = Counter(
            f"{PREFIX}leases_lost",
            "Leases that ran out under way, so that somebody else may have sent.",
            registry=self.registry,
        )
        self.database_errors = Counter(
            f"{PREFIX}database_errors",
            "Times that the database was lost, could not be reached, or took too long: by the work"
            " loop (notifier), by the HTTP face (http).",
            ["part"],
            registry=self.registry,
        )
        for part in ("notifier", "http"):
            self.database_errors.labels(part)
        self.http_unauthorized = Counter(
            f"{PREFIX}http_unauthorized",
            "Requests under /v1 that were refused with 401, since they lacked the right token.",
            registry=self.registry,
        )
        self.http_connections_cut = Counter(
            f"{PREFIX}http_connections_cut",
            "HTTP connections that were closed while they waited for their callers: for too long"
            " (slow), or while there were too many (crowded).",
            ["reason"],
            registry=self.registry,
        )
        for reason in ("slow", "crowded"):
            self.http_connections_cut.labels(reason)
        self.in_flight = Gauge(
            f"{PREFIX}in_flight",
            "Sends of this process that are under way.",
            registry=self.registry,
        )
        self.cycles = Counter(
            f"{PREFIX}cycles",
            "Cycles of the work loop that were completed; `notifier serve` has none.",
            registry=self.registry,
        )
        self.last_cycle = Gauge(
            f"{PREFIX}last_cycle_timestamp_seconds",
            "When the work loop completed its last cycle (seconds since 1970); 0: never.",
            registry=self.registry,
        )

    def cycled(self, in_flight: int) -> None:
        """The work loop has completed a cycle."""
        self.cycles.inc()
        self.last_cycle.set(time.time())
        self.in_flight.set(in_flight)

    def came_to(self, channel: str, outcome: Outcome, latency_seconds: float) -> None:
        """An attempt came to this outcome, so long after the notification was inserted."""
        self._deliveries.labels(channel, OUTCOMES[type(outcome)]).inc()
        if isinstance(outcome, Sent):
            self._latency.labels(channel).observe(latency_seconds)
