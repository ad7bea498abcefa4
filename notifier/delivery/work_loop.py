"""The work loop: everything the notifier does with the database, on one connection at a time."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from logging import ERROR, WARNING

import psycopg

from notifier.database.statements import Database
from notifier.database.values import Delivery, Hold, NextDelivery
from notifier.delivery.leases import Leases, renewed
from notifier.delivery.outage import Outage
from notifier.delivery.refusals import Refusals
from notifier.delivery.sending import Sender
from notifier.delivery.setup import ActiveSetup
from notifier.delivery.signals import Signals
from notifier.logs import event
from notifier.metrics import Metrics
from notifier.systemd import Service

# What is due but was not leased just now may be locked by another session: do not ask at once.
MIN_WAIT_SECONDS = 0.01
# How many new notifications to plan before the loop goes on: enough to plan a crowd of them soon,
# few enough not to delay what comes after them.
PLAN_BATCH_SIZE = 500


@dataclass
class WorkLoop:
    """Leases, records and plans. What outlives a connection is handed in."""

    name: str
    setup: ActiveSetup
    leases: Leases
    sender: Sender
    signals: Signals
    refusals: Refusals
    outage: Outage
    metrics: Metrics
    service: Service

    def __post_init__(self) -> None:
        self._next_due_at = math.inf  # when a recipient is due
        self._report_at = 0.0  # when to report, and to ask for news
        self._reported_problem: str | None = None
        self._logged_pauses: dict[str, Hold] = {}
        self._is_polling_logged = False

    def problem(self) -> str | None:
        """What the database refuses to do for this notifier; None: nothing."""
        return self.outage.refusal or self.refusals.problem()

    async def run(self, database: Database, *, once: bool) -> None:
        """Works until the notifier is to stop, or, with `once`, until nothing is due. Leaves
        nothing leased unless the connection is lost.

        Raises psycopg.Error if the connection is lost or a statement is refused.
        """
        if database.is_session:
            await database.listen(self.signals.news)
        else:
            self._log_polling()
        self._report_at = 0.0
        self.leases.connected()
        await self._release(database)
        try:
            await self._loop(database, once=once)
        except psycopg.Error:
            raise
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                await self._hand_back(database)
            raise
        await self._hand_back(database)

    async def _loop(self, database: Database, *, once: bool) -> None:
        while True:
            self.signals.clear()
            is_idle = await self._cycle(database)
            self.outage.ended()
            self.metrics.cycled(self.leases.in_flight())
            self.service.at_work(self.leases.in_flight(), self.problem())
            if is_idle and (once or self.signals.is_stopping):
                return
            await self._wait(database)

    async def _cycle(self, database: Database) -> bool:
        """Records, renews, reports, plans and leases. True if there is nothing more to do now."""
        await self._record(database)
        await self._renew(database)
        await self._report(database)
        if self.signals.is_stopping:
            return not self.leases.has_unfinished()
        await self.refusals.step("plan", lambda: self._plan_and_follow(database), None)
        if self.leases.take_dropped():
            await self._release(database)
        await self._record(database)  # a new result may say that the channel refuses us
        await self._lease(database)
        return await self._look_ahead(database)

    async def _record(self, database: Database) -> None:
        results = tuple(self.leases.results)
        if results:
            recorded = await database.record(self.leases.worker, results)
            del self.leases.results[: len(results)]
            if recorded < len(results):
                event(WARNING, "lease_lost", results=len(results) - recorded)
                self.metrics.leases_lost.inc(len(results) - recorded)
            if any(each.is_channel_refused for each in results):
                await self._log_pauses(database)

    async def _log_pauses(self, database: Database) -> None:
        """Refusals of sends that were in flight together count, and are logged, as one."""
        for hold in await database.holds():
            if hold.address is None and self._logged_pauses.get(hold.channel) != hold:
                self._logged_pauses[hold.channel] = hold
                event(
                    ERROR,
                    "channel_paused",
                    channel=hold.channel,
                    until=hold.held_until.isoformat(),
                    failures=hold.failures,
                    reason=hold.reason,
                )

    async def _renew(self, database: Database) -> None:
        now = _now()
        leases = self.leases.to_renew(now)
        if not leases:
            return
        lease_seconds = self.setup.current.lease_seconds
        ids = [lease.delivery.recipient_id for lease in leases]
        held_ids = await self.refusals.step(
            "renew leases",
            lambda: database.renew(self.leases.worker, ids, lease_seconds),
            None,
        )
        if held_ids is not None:
            renewed(leases, held_ids, now, lease_seconds)
        else:  # refused: a send that takes longer than its lease will be dropped
            for lease in leases:
                lease.renew_at = self.refusals.again_at()

    async def _report(self, database: Database) -> None:
        """Every poll_seconds: reports that this notifier is alive, asks for news, and adopts."""
        now = _now()
        if now >= self._report_at:
            self.signals.has_news = True
            self._report_at = now + self.setup.current.poll_seconds
            config_id = self.setup.current.config_id
            await self.refusals.step("report", lambda: database.report(self.name, config_id), None)
            await self._report_problem(database)
            await self._release(database)

    async def _report_problem(self, database: Database) -> None:
        problem = self.problem()
        if problem != self._reported_problem:
            await self.refusals.step(
                "report", lambda: database.report_problem(self.name, problem), None
            )
            self._reported_problem = problem

    async def _plan_and_follow(self, database: Database) -> None:
        """Plans new notifications, and follows the config."""
        if self.signals.has_news:
            self.signals.has_news = False
            planned, config_id = await database.plan(PLAN_BATCH_SIZE)
            if planned:
                self.signals.news()  # there may be more
            if self.setup.is_new(config_id) and (in_force := await database.config()):
                self.setup.follow(*in_force, self.sender.tasks())

    async def _release(self, database: Database) -> None:
        """Gives back what is leased but neither in flight nor to be recorded. What earlier
        connections of this notifier have leased becomes this connection's. The server may commit a
        lost connection's lease at any later time, so each report repeats this."""
        taken_ids = self.leases.taken_ids()
        await self.refusals.step(
            "release", lambda: database.release(self.leases.worker, taken_ids), 0
        )

    async def _lease(self, database: Database) -> None:
        """Leases what the free slots can take, and begins to send it."""
        setup = self.setup.current
        slots = self._free_slots()
        if not slots:
            return
        follow_up_slots = self.leases.free_for_follow_ups(slots, setup.follow_ups_per_channel)
        since = _now()
        nothing: list[Delivery] = []
        leased = await self.refusals.step(
            "lease",
            lambda: database.lease(
                self.leases.worker,
                slots,
                setup.lease_seconds,
                follow_up_slots,
                setup.digest_channels,
            ),
            nothing,
        )
        if self.signals.is_stopping:
            return  # what was leased is given back at the end
        for lease in self.leases.add(leased, since, setup.lease_seconds):
            self.metrics.leases.labels(lease.delivery.channel).inc()
            self.sender.start(setup, lease)

    def _free_slots(self) -> dict[str, int]:
        setup = self.setup.current
        return self.leases.free_slots(setup.channels, setup.sends_per_channel)

    async def _look_ahead(self, database: Database) -> bool:
        """Finds out when the next recipient is due. True if nothing is due, in flight or to be
        recorded."""
        self._next_due_at = math.inf
        slots = self._free_slots()
        if self.signals.is_awake or not slots:
            return False
        if self.refusals.is_refused("lease"):
            return False  # what is due cannot be leased
        follow_up_slots = self.leases.free_for_follow_ups(
            slots, self.setup.current.follow_ups_per_channel
        )
        of_follow_ups = [channel for channel, free in follow_up_slots.items() if free]
        upcoming = await self.refusals.step(
            "look ahead",
            lambda: database.next_delivery(list(slots), of_follow_ups),
            NextDelivery(None, False),
        )
        if upcoming.wait_seconds is not None:
            self._next_due_at = _now() + max(upcoming.wait_seconds, MIN_WAIT_SECONDS)
        return not upcoming.is_limited and not self.leases.has_unfinished()

    async def _wait(self, database: Database) -> None:
        """Waits until something happens or the next step is due. A result waits a few
        milliseconds for others unless most of them have arrived."""
        with database.arrivals(self.signals.news):
            await self.signals.wait(self._rest_seconds())
            if self.leases.results:
                await self.signals.gather()

    def _rest_seconds(self) -> float:
        """How long the loop may rest: until the next poll or report, the next recipient that is
        due, the next renewal, the next attempt of a refused step, or systemd's watchdog."""
        times = [self._next_due_at, self._report_at, self.refusals.again_at()]
        until = min(*times, self.leases.renew_at())
        rest = min(self.setup.current.poll_seconds, until - _now(), self.service.rest_seconds)
        return max(rest, 0)

    async def _hand_back(self, database: Database) -> None:
        """Leaves nothing leased: sends whose request may be out become doubtful, all other
        recipients are given back."""
        await self.sender.cut()
        await self._record(database)
        await self._release(database)
        await database.retire(self.name)

    def _log_polling(self) -> None:
        if not self._is_polling_logged:
            self._is_polling_logged = True
            event(
                WARNING,
                "no_session",
                reason="there is a pooler in between, and LISTEN needs a session: connect to"
                " PostgreSQL's own port to hear of news at once",
                poll_seconds=self.setup.current.poll_seconds,
            )


def _now() -> float:
    return asyncio.get_running_loop().time()
