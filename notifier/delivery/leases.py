"""What this notifier has leased: sends in flight, and results that are not recorded yet.

Values only: nothing here talks to the database or asks for the time. The database's clock decides
when a lease ends. Here only shares of its length are measured, starting before the statement that
leased or renewed it: after the first share the lease is due for renewal, after the second no
request may start, because another notifier may hold the lease by the time it arrives.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from notifier.database.values import Delivery, Result

RENEW_AFTER = 1 / 3
HELD_FOR = 0.8


class LeaseLost(Exception):
    """Another notifier may be sending this by now."""


@dataclass(eq=False)  # two leases of one recipient are two sends
class Lease:
    """A leased recipient that is being sent. Times are those of the event loop.

    renew_at        when to renew it
    held_until      until then no other notifier can have it
    is_request_out  the request may have left the process: a send that is cut short now is in doubt
    is_dropped      the lease was lost before the request, so the recipient is given back
    """

    delivery: Delivery
    renew_at: float = 0
    held_until: float = 0
    is_request_out: bool = False
    is_dropped: bool = False

    def hold(self, since: float, lease_seconds: float) -> None:
        """It was leased or renewed by a statement that began at `since`."""
        self.renew_at = since + RENEW_AFTER * lease_seconds
        self.held_until = since + HELD_FOR * lease_seconds

    def lose(self) -> None:
        """Another notifier has it."""
        self.renew_at, self.held_until = math.inf, -math.inf

    def start_request(self, now: float) -> None:
        """To be called directly before a request leaves the process. Raises LeaseLost."""
        if now >= self.held_until:
            raise LeaseLost
        self.is_request_out = True


class Leases:
    """All leases of one notifier."""

    def __init__(self, notifier: str) -> None:
        self.results: list[Result] = []
        """Results to record; their recipients are still leased."""
        self._notifier = notifier
        self._connections = 0
        self._in_flight: set[Lease] = set()
        self._has_dropped = False

    @property
    def worker(self) -> str:
        """The holder's name in the database. Each connection has its own: if the server commits a
        statement of a lost connection late, that cannot affect what was leased since."""
        return f"{self._notifier}#{self._connections:08}"

    def connected(self) -> None:
        """There is a new connection."""
        self._connections += 1

    def add(
        self, deliveries: Iterable[Delivery], since: float, lease_seconds: float
    ) -> list[Lease]:
        """Adds what was leased by a statement that began at `since`."""
        leases = [Lease(delivery) for delivery in deliveries]
        for lease in leases:
            lease.hold(since, lease_seconds)
        self._in_flight.update(leases)
        return leases

    def end(self, lease: Lease, result: Result | None) -> None:
        """A send has ended, without a result if that is None. From now on its recipient no longer
        counts as in flight, and may be given back."""
        self._in_flight.remove(lease)
        self._has_dropped |= lease.is_dropped
        if result is not None:
            self.results.append(result)

    def free_slots(self, channels: Iterable[str], max_in_flight: int) -> dict[str, int]:
        """How many more sends each channel can take if each may have up to `max_in_flight`.
        Channels that can take none are left out."""
        in_flight = Counter(lease.delivery.channel for lease in self._in_flight)
        slots = {channel: max_in_flight - in_flight[channel] for channel in channels}
        return {channel: free for channel, free in slots.items() if free > 0}

    def free_for_follow_ups(self, slots: Mapping[str, int], max_in_flight: int) -> dict[str, int]:
        """How many of these free slots may take follow-ups, of which each channel may have up to
        `max_in_flight`."""
        in_flight = Counter(
            lease.delivery.channel for lease in self._in_flight if lease.delivery.earlier
        )
        return {
            channel: max(min(free, max_in_flight - in_flight[channel]), 0)
            for channel, free in slots.items()
        }

    def to_renew(self, now: float) -> Sequence[Lease]:
        """The leases to renew together, once one of them is due for renewal."""
        leases = [lease for lease in self._in_flight if lease.renew_at < math.inf]
        return leases if any(lease.renew_at <= now for lease in leases) else []

    def renew_at(self) -> float:
        """When the next lease is due for renewal; infinity: none is."""
        return min((lease.renew_at for lease in self._in_flight), default=math.inf)

    def taken_ids(self) -> list[int]:
        """The recipients that are in flight or to be recorded. Everything else that this
        notifier has leased can be given back."""
        in_flight = {lease.delivery.recipient_id for lease in self._in_flight}
        return sorted(in_flight | {result.recipient_id for result in self.results})

    def take_dropped(self) -> bool:
        """Whether a send was dropped since this was last asked."""
        has_dropped, self._has_dropped = self._has_dropped, False
        return has_dropped

    def in_flight(self) -> int:
        """How many sends are in flight."""
        return len(self._in_flight)

    def has_unfinished(self) -> bool:
        """Whether anything is in flight or to be recorded."""
        return bool(self._in_flight or self.results)

    def are_most_finished(self) -> bool:
        """Whether the results need not wait for others: at least as many have arrived as are still
        in flight."""
        return len(self.results) >= len(self._in_flight)


def renewed(
    leases: Collection[Lease], held_ids: Collection[int], since: float, lease_seconds: float
) -> None:
    """The leases were renewed by a statement that began at `since`; those whose recipients are not
    among held_ids are lost."""
    for lease in leases:
        if lease.delivery.recipient_id in held_ids:
            lease.hold(since, lease_seconds)
        else:
            lease.lose()
