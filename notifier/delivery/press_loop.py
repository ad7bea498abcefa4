"""What the notifier of a router does with its connection: it follows the config. Shards deliver;
`Buttons` reads the presses, with a connection of its own."""

from __future__ import annotations

from dataclasses import dataclass

from notifier.database.statements import Database
from notifier.delivery.outage import Outage
from notifier.delivery.setup import ActiveSetup
from notifier.delivery.signals import Signals
from notifier.metrics import Metrics
from notifier.systemd import Service


@dataclass
class PressLoop:
    """The work loop of a notifier that leases nothing."""

    setup: ActiveSetup
    signals: Signals
    outage: Outage
    metrics: Metrics
    service: Service

    def problem(self) -> str | None:
        """What the database refuses to do for this notifier; None: nothing."""
        return self.outage.refusal

    async def run(self, database: Database, *, once: bool) -> None:
        """Works until the notifier is to stop.

        Raises psycopg.Error if the connection is lost or a statement is refused.
        """
        while True:
            self.signals.clear()
            in_force = await database.config()
            if in_force is not None and self.setup.is_new(in_force[0]):
                self.setup.follow(*in_force, ())
            self.outage.ended()
            self.metrics.cycled(0)
            self.service.at_work(0, self.problem())
            if once or self.signals.is_stopping:
                return
            with database.arrivals(self.signals.news):
                await self.signals.wait(
                    min(self.setup.current.poll_seconds, self.service.rest_seconds)
                )
