"""The daemon: notifications become messages and tickets.

One loop does all that touches the database: it records results, plans, and leases as much as each
channel has free slots; each leased recipient is sent by a task of its own. The loop runs again when
it is woken (by NOTIFY, by finished tasks, by SIGTERM), and every poll_seconds in any case. Tasks
that finish within a few milliseconds of each other are recorded together; nothing else waits for
them. It plans, and looks for a new config, when NOTIFY says so and every poll_seconds.

A lost connection stops the loop and nothing else: tasks go on, their results wait, and are recorded
before anything else once the database is back. A step that the database refuses for good is tried
again now and then, and the loop goes on with the others (notifier.refusals). Where a newer version
has migrated the database meanwhile, the notifier finishes what is in flight and ends.

LISTEN takes a session. Through a pooler that gives none it polls, each poll_seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from logging import ERROR, INFO, WARNING
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import psycopg

from notifier import config as configs
from notifier.channels import CHANNELS
from notifier.channels.base import (
    Blocked,
    Channel,
    Failed,
    InDoubt,
    Message,
    Outcome,
    Sent,
    before_request,
)
from notifier.config import Config, ConfigError, RetryPolicy
from notifier.database import (
    Database,
    DatabaseNewer,
    DatabaseUnusable,
    Delivery,
    Hold,
    NextDelivery,
    Result,
    is_temporary,
    reason,
)
from notifier.logs import event
from notifier.metrics import Metrics
from notifier.refusals import Refusals
from notifier.retry import backoff, result
from notifier.secrets import SecretMissing, Secrets
from notifier.systemd import Service
from notifier.templates import Renderer, TemplateError

RECONNECT = RetryPolicy(first_seconds=0.5, factor=2, max_seconds=30, give_up_after_attempts=1000)
# None of the loop's statements takes long; one that does counts as a lost database.
STATEMENT_SECONDS = 30.0
# What is due by now, and yet was not leased a moment ago, may be in somebody else's hands.
SHORTEST_WAIT_SECONDS = 0.01
# How long the first result waits for others to be recorded with it, and the free slot for others
# to be filled with it.
GATHERING_SECONDS = 0.005
# So many new notifications are given their recipients before the loop goes on: a crowd of them is
# planned before long, and whoever comes after it is not kept waiting.
PLANNED_AT_ONCE = 500
# Leases go by the database's clock. Here only their shares are measured, from before the statement
# that leased or renewed: after the first the lease is renewed, after the second no request goes out
# any more, for somebody else may have the lease when it arrives.
RENEWED_AFTER = 1 / 3
HELD_FOR = 0.8


class LeaseLost(Exception):
    """Somebody else may be sending this by now."""


class NotRecorded(Exception):
    """The database stayed away, and what was sent could not be recorded."""


@dataclass
class Send:
    """A leased recipient on its way. Times are the loop's.

    renew_at     when its lease is to be renewed
    held_until   until then nobody else has the lease
    is_out       the request may have left the process, so that who cuts the send short leaves it
                 in doubt
    is_dropped   its lease was lost before that, so that it is given back
    """

    delivery: Delivery
    renew_at: float = 0
    held_until: float = 0
    is_out: bool = False
    is_dropped: bool = False

    def hold(self, since: float, lease_seconds: float) -> None:
        """It was leased or renewed, by a statement that began at `since`."""
        self.renew_at = since + RENEWED_AFTER * lease_seconds
        self.held_until = since + HELD_FOR * lease_seconds

    def lose(self) -> None:
        """Somebody else has the lease."""
        self.renew_at, self.held_until = math.inf, -math.inf

    def go(self) -> None:
        """Called directly before a request leaves the process. Raises LeaseLost."""
        if asyncio.get_running_loop().time() >= self.held_until:
            raise LeaseLost
        self.is_out = True


@dataclass(frozen=True)
class Setup:
    """What follows from a config: the channels, opened, and the texts."""

    config_id: int
    config: Config
    channels: dict[str, Channel]
    renderer: Renderer

    @classmethod
    def make(cls, config_id: int, document: object, templates_dir: Path, secrets: Secrets) -> Setup:
        """Raises ConfigError, SecretMissing or TemplateError when the config cannot be used."""
        config = configs.parse_stored(document)
        renderer = renderer_for(config, templates_dir)
        renderer.preload()
        channels = {
            name: CHANNELS[name](settings, secrets)
            for name, settings in config.channel_settings().items()
        }
        return cls(config_id, config, channels, renderer)

    async def close(self) -> None:
        for channel in self.channels.values():
            await channel.aclose()

    def in_doubt(self, channel: str) -> Literal["resend", "hold"]:
        """What becomes of a doubtful send: an idempotent channel may simply repeat it."""
        settings = self.config.channel_settings()[channel]
        held = getattr(settings, "in_doubt", "resend") == "hold"
        return "hold" if held and not CHANNELS[channel].idempotent else "resend"


def renderer_for(config: Config, templates_dir: Path) -> Renderer:
    """The texts in the config's language and time zone.

    Raises ConfigError naming each template that a configured channel lacks.
    """
    renderer = Renderer(templates_dir, config.notifier.locale, ZoneInfo(config.notifier.time_zone))
    missing = renderer.missing([CHANNELS[name] for name in config.channel_settings()])
    if missing:
        raise ConfigError([f"notifier.locale: no template {path}" for path in missing])
    return renderer


@dataclass
class Notifier:
    """Delivers until it is told to stop.

    Its name is the host, the process and a random part: no two notifiers share it.
    """

    templates_dir: Path
    secrets: Secrets
    name: str = field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{random.randbytes(4).hex()}"  # noqa: S311
    )
    service: Service = field(default_factory=lambda: Service({}))
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self._setup: Setup  # from _start() on
        self._is_started = False
        self._connections = 0
        self._refused_config_id: int | None = None
        self._stopping_since: float | None = None
        self._ending: DatabaseUnusable | None = None  # why it must not go on
        self._lost_since: float | None = None
        self._lost_reasons: set[str] = set()
        self._refusal: str | None = None  # what the database says instead of being lost
        self._vain_attempts = 0
        self._refusals = Refusals(RECONNECT, lambda: asyncio.get_running_loop().time())
        self._reported_problem: str | None = None
        self._is_told_to_poll = False
        self._wake = asyncio.Event()
        self._gathered = asyncio.Event()  # the results wait for no others
        self._is_news = True  # there may be something to plan, or a new config
        self._sending: dict[asyncio.Task[None], Send] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._results: list[Result] = []
        self._due_at = math.inf
        self._told_holds: dict[str, Hold] = {}
        self._is_anything_dropped = False
        self._report_at = 0.0

    @property
    def worker(self) -> str:
        """Its name in leases: each connection has one of its own, so that what a server does late
        for one that was lost concerns nothing that is leased by then."""
        return f"{self.name}#{self._connections:08}"

    def stop(self) -> None:
        """Finish what is in flight, record it, and return from run()."""
        event(INFO, "stopping", in_flight=len(self._sending))
        self.service.stopping(len(self._sending))
        self._stopping_since = asyncio.get_running_loop().time()
        self._gathered.set()
        self._wake.set()

    def problem(self) -> str | None:
        """What the database refuses to this notifier; None: nothing."""
        return self._refusal or self._refusals.problem()

    async def run(self, *, once: bool = False) -> None:
        """Delivers until stop(); `once`: until nothing is due.

        Raises what keeps it from starting: ConfigError, SecretMissing, DatabaseUnusable,
        psycopg.Error. Once it has started, a lost database is waited for; after stop(), and with
        `once`, only as long as there are results to record, and no longer than a lease, for then
        they are of no use any more: NotRecorded. DatabaseUnusable, after it has recorded what it
        could, where it must not go on.
        """
        try:
            while True:
                try:
                    async with _connected() as database:
                        await self._check(database)
                        if not self._is_started:
                            await self._start(database)
                        await self._work(database, once=once)
                        break
                except psycopg.Error as error:
                    if not self._is_started or (once and not self._is_anything_unrecorded()):
                        raise
                    if self._ending is not None and not is_temporary(error):
                        event(ERROR, "not_recorded", results=len(self._results), reason=error)
                        break
                    if self._refusals.is_noted(error):
                        self.metrics.database_errors.labels("notifier").inc()
                        continue
                    self._lost(error)
                if self._is_over(once=once):
                    break
                await self._back_off()
            if self._ending is not None:
                raise self._ending
        finally:
            await self._close()

    async def _check(self, database: Database) -> None:
        """Raises DatabaseUnusable. Where a newer version has migrated the database since it
        started, it records what is in flight first: that has not changed."""
        try:
            await database.check_version()
        except DatabaseUnusable as error:
            if not self._is_started:
                raise
            if self._ending is None:
                event(ERROR, "cannot_go_on", reason=error)
            if not isinstance(error, DatabaseNewer):
                raise
            if self._ending is None:
                self._ending = error
                self.stop()

    async def _start(self, database: Database) -> None:
        in_force = await database.config()
        if in_force is None:
            raise ConfigError(["no config is in force: make config"])
        self._setup = Setup.make(*in_force, self.templates_dir, self.secrets)
        await database.resume(list(self._setup.channels))
        self._is_started = True
        event(
            INFO,
            "started",
            notifier=self.name,
            config_id=self._setup.config_id,
            channels=",".join(self._setup.channels),
        )
        self.service.ready()

    async def _work(self, database: Database, *, once: bool) -> None:
        """The loop, as long as the connection holds. However else it ends, nothing stays leased."""
        if database.is_session:
            await database.listen(self._hear)
        elif not self._is_told_to_poll:
            self._is_told_to_poll = True
            event(
                WARNING,
                "no_session",
                reason="a pooler stands between, and LISTEN needs a session: connect to"
                " PostgreSQL's own port to hear of news at once",
                poll_seconds=self._setup.config.notifier.poll_seconds,
            )
        self._report_at = 0.0
        self._connections += 1
        await self._adopt(database)
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
            self._wake.clear()
            self._gathered.clear()
            is_idle = await self._cycle(database)
            self._found()
            self.metrics.cycled(len(self._sending))
            self.service.at_work(len(self._sending), self.problem())
            if is_idle and (once or self._stopping_since is not None):
                return
            await self._wait(database)

    def _lost(self, error: psycopg.Error) -> None:
        """The database is away, or refuses the whole loop: each reason is reported once, however
        long it takes. The first is often that the connection broke, and the next one says why."""
        is_new = self._lost_since is None
        if is_new:
            self._lost_since = asyncio.get_running_loop().time()
            self._lost_reasons.clear()
        is_told = reason(error) in self._lost_reasons
        self._lost_reasons.add(reason(error))
        if is_temporary(error):
            self._refusal = None
            if not is_told:
                event(ERROR, "database_lost" if is_new else "database_still_lost", reason=error)
        else:
            self._refusal = f"the database refuses the work loop: {reason(error)}"
            if not is_told:
                event(ERROR, "database_refuses", step="work", reason=reason(error))
        self._vain_attempts += 1
        self.metrics.database_errors.labels("notifier").inc()
        self.service.without_database(len(self._sending), self._refusal)

    async def _back_off(self) -> None:
        """Until it is time for the next attempt to connect, or stop() is called: a send that ends
        meanwhile is no reason to try sooner."""
        loop = asyncio.get_running_loop()
        stopping_since = self._stopping_since
        until = loop.time() + backoff(RECONNECT, self._vain_attempts, jitter=1).total_seconds()
        while (left := until - loop.time()) > 0 and self._stopping_since == stopping_since:
            self._wake.clear()
            await self._sleep(left)
            self.service.without_database(len(self._sending), self._refusal)

    def _found(self) -> None:
        if self._lost_since is not None:
            event(INFO, "database_back", attempts=self._vain_attempts)
            self._lost_since, self._vain_attempts, self._refusal = None, 0, None

    async def _cycle(self, database: Database) -> bool:
        """Records, renews, plans, leases; True when there is nothing more to do at present. Plans
        where there is news, and leases where there are free slots."""
        await self._record(database)
        await self._renew(database)
        await self._report(database)
        if self._stopping_since is not None:
            return not self._is_anything_unrecorded()
        await self._refusals.step("plan", lambda: self._hear_news(database), None)
        setup = self._setup
        if self._is_anything_dropped:
            self._is_anything_dropped = False
            await self._release(database)
        await self._record(database)  # what came meanwhile may say that a channel is refused
        if slots := self._slots(setup):
            leased_since = asyncio.get_running_loop().time()
            leased = await self._lease(database, setup, slots)
            if self._stopping_since is None:
                self._begin(setup, leased, leased_since)
        self._due_at = math.inf
        slots = self._slots(setup)
        if self._wake.is_set() or not slots:
            return False
        if self._refusals.is_refused("lease"):
            return False  # however much is due
        upcoming = await self._refusals.step(
            "look ahead", lambda: database.next_delivery(list(slots)), NextDelivery(None, False)
        )
        self._due_at = _later(upcoming.wait_seconds)
        return not upcoming.is_limited and not self._is_anything_unrecorded()

    async def _lease(
        self, database: Database, setup: Setup, slots: Mapping[str, int]
    ) -> Sequence[Delivery]:
        seconds = setup.config.notifier.lease_seconds
        nothing: list[Delivery] = []
        return await self._refusals.step(
            "lease", lambda: database.lease(self.worker, slots, seconds), nothing
        )

    def _hear(self) -> None:
        """Something came from the database."""
        self._is_news = True
        self._gathered.set()
        self._wake.set()

    async def _hear_news(self, database: Database) -> None:
        """Plans what is new, and follows the config."""
        if self._is_news:
            self._is_news = False
            planned, config_id = await database.plan(PLANNED_AT_ONCE)
            if planned:
                self._hear()  # there may be more
            if config_id not in (self._setup.config_id, self._refused_config_id):
                await self._follow_config(database)

    def _begin(self, setup: Setup, leased: Sequence[Delivery], since: float) -> None:
        for delivery in leased:
            send = Send(delivery)
            send.hold(since, setup.config.notifier.lease_seconds)
            self.metrics.leases.labels(delivery.channel).inc()
            task = asyncio.create_task(self._deliver(setup, send))
            self._sending[task] = send
            task.add_done_callback(self._sent)

    def _taken_ids(self) -> set[int]:
        """The recipients that are on their way or to be recorded."""
        sending = {send.delivery.recipient_id for send in self._sending.values()}
        return sending | {each.recipient_id for each in self._results}

    async def _renew(self, database: Database) -> None:
        """Renews the leases of what is on its way, when it is time for one of them."""
        now = asyncio.get_running_loop().time()
        sends = [send for send in self._sending.values() if send.renew_at < math.inf]
        if all(send.renew_at > now for send in sends):
            return
        lease_seconds = self._setup.config.notifier.lease_seconds
        ids = [send.delivery.recipient_id for send in sends]
        held_ids = await self._refusals.step(
            "renew leases", lambda: database.renew(self.worker, ids, lease_seconds), None
        )
        for send in sends:
            if held_ids is None:  # refused: what takes longer than its lease is dropped
                send.renew_at = self._refusals.again_at()
            elif send.delivery.recipient_id in held_ids:
                send.hold(now, lease_seconds)
            else:
                send.lose()

    async def _report(self, database: Database) -> None:
        """Says each poll_seconds that this notifier is alive. Then it asks for news as well."""
        now = asyncio.get_running_loop().time()
        if now >= self._report_at:
            self._is_news = True
            self._report_at = now + self._setup.config.notifier.poll_seconds
            config_id = self._setup.config_id
            await self._refusals.step("report", lambda: database.report(self.name, config_id), None)
            await self._report_problem(database)
            await self._adopt(database)

    async def _report_problem(self, database: Database) -> None:
        problem = self.problem()
        if problem != self._reported_problem:
            await self._refusals.step(
                "report", lambda: database.report_problem(self.name, problem), None
            )
            self._reported_problem = problem

    async def _release(self, database: Database) -> None:
        """Gives back what is leased and neither on its way nor to be recorded."""
        taken_ids = sorted(self._taken_ids())
        await self._refusals.step("release", lambda: database.release(self.worker, taken_ids), 0)

    async def _adopt(self, database: Database) -> None:
        """Takes over what earlier connections have leased, as far as it is on its way or to be
        recorded. The server may commit a lease of a lost connection at any later time, so this is
        asked again and again."""
        taken_ids = sorted(self._taken_ids())
        await self._refusals.step(
            "take over leases", lambda: database.adopt(self.worker, taken_ids), 0
        )

    async def _hand_back(self, database: Database) -> None:
        """Leaves nothing leased: what is cut while its request is out is in doubt, and what has
        not come so far is anybody's."""
        await self._cut()
        await self._record(database)
        await self._release(database)
        await database.retire(self.name)

    async def _cut(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _is_anything_unrecorded(self) -> bool:
        return bool(self._sending or self._results)

    async def _record(self, database: Database) -> None:
        results = tuple(self._results)
        if results:
            recorded = await database.record(self.worker, results)
            del self._results[: len(results)]
            if recorded < len(results):
                event(WARNING, "lease_lost", results=len(results) - recorded)
                self.metrics.leases_lost.inc(len(results) - recorded)
            if any(each.is_channel_refused for each in results):
                await self._tell_of_pauses(database)

    async def _tell_of_pauses(self, database: Database) -> None:
        """Those in flight together count once, and are told of once."""
        for hold in await database.holds():
            if hold.address is None and self._told_holds.get(hold.channel) != hold:
                self._told_holds[hold.channel] = hold
                event(
                    ERROR,
                    "channel_paused",
                    channel=hold.channel,
                    until=hold.held_until.isoformat(),
                    failures=hold.failures,
                    reason=hold.reason,
                )

    async def _follow_config(self, database: Database) -> None:
        """Sets up what the config in force says. One that cannot be used is told of, and the one
        before it stays."""
        in_force = await database.config()
        if in_force is None:
            return
        try:
            setup = Setup.make(*in_force, self.templates_dir, self.secrets)
        except (ConfigError, SecretMissing, TemplateError) as error:
            self._refused_config_id = in_force[0]
            event(ERROR, "config_refused", config_id=in_force[0], reason=error)
            return
        event(INFO, "config_followed", config_id=setup.config_id)
        retiring = asyncio.create_task(_retire(self._setup, set(self._sending)))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        self._setup = setup

    def _slots(self, setup: Setup) -> dict[str, int]:
        """How many more sends each channel takes, of those that take any."""
        in_flight = Counter(send.delivery.channel for send in self._sending.values())
        slots = {
            name: setup.config.notifier.batch_size - in_flight[name] for name in setup.channels
        }
        return {name: free for name, free in slots.items() if free > 0}

    async def _deliver(self, setup: Setup, send: Send) -> None:
        delivery = send.delivery
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            outcome = await self._attempt(setup, send)
        except LeaseLost:
            # Whoever has it by now sends it; if nobody took it, it is given back.
            send.is_dropped = True
            self.metrics.leases_lost.inc()
            event(WARNING, "dropped", token=delivery.idempotency_token, channel=delivery.channel)
            return
        latency = delivery.waited.total_seconds() + loop.time() - began_at
        self.metrics.attempted(delivery.channel, outcome, latency)
        policy = setup.config.notifier.retry
        jitter = random.random()  # noqa: S311  # spreads retries, guards nothing
        recorded = result(delivery, outcome, policy, setup.in_doubt(delivery.channel), jitter)
        self._results.append(recorded)
        event(
            INFO if recorded.state == "sent" else WARNING,
            _event_name(recorded),
            token=delivery.idempotency_token,
            channel=delivery.channel,
            attempt=delivery.attempts,
            reference=recorded.reference,
            delay_seconds=round(recorded.delay_seconds, 1) or None,
            reason=recorded.error,
            moved_to=outcome.moved_to if isinstance(outcome, Sent) else None,
        )

    async def _attempt(self, setup: Setup, send: Send) -> Outcome:
        """One try. Never raises: whatever is wrong with one row must not stop the others. But when
        it is cancelled, or its lease is lost, before its request is out, there is no outcome:
        CancelledError, LeaseLost."""
        delivery = send.delivery
        settings = setup.config.notifier
        channel = setup.channels[delivery.channel]
        if delivery.is_in_doubt and setup.in_doubt(delivery.channel) == "hold":
            return InDoubt("a notifier was lost while it was sending this")
        if delivery.attempts > settings.retry.give_up_after_attempts:
            return Failed(f"gave up: {delivery.attempts - 1} attempts never came to a result")
        try:
            parts = setup.renderer.render(delivery.type, type(channel), delivery.facts())
        except TemplateError as error:
            return Blocked(error.reason)
        except (ArithmeticError, TypeError, ValueError) as error:
            return Failed(f"unreadable details: {error}")
        message = Message(delivery.idempotency_key, delivery.target, parts)
        before_request.set(send.go)
        try:
            return await channel.deliver(message)
        except (asyncio.CancelledError, LeaseLost) as error:
            if not send.is_out:
                raise
            return InDoubt(f"cut short ({type(error).__name__})")
        except Exception as error:
            event(ERROR, "bug", token=delivery.idempotency_token, reason=repr(error))
            return InDoubt(f"unexpected {type(error).__name__}")

    def _sent(self, task: asyncio.Task[None]) -> None:
        send = self._sending.pop(task)
        delivery = send.delivery
        # Only now: until here it counts as on its way, which is never given back.
        self._is_anything_dropped |= send.is_dropped
        if not task.cancelled() and (error := task.exception()):
            event(ERROR, "bug", token=delivery.idempotency_token, reason=repr(error))
            self._results.append(Result(delivery.recipient_id, "in_doubt", error=repr(error)))
        if len(self._results) >= len(self._sending):
            self._gathered.set()
        self._wake.set()

    async def _wait(self, database: Database) -> None:
        """Until something happens, or something is to be done in any case. A result waits a moment
        for others, but not where as many have come as are still to come."""
        with database.arrivals(self._hear):
            await self._sleep(self._patience())
            if self._results and not self._gathered.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GATHERING_SECONDS):
                        await self._gathered.wait()

    def _patience(self) -> float:
        """Seconds until the next poll or report, or until something is due or a lease to be
        renewed."""
        now = asyncio.get_running_loop().time()
        moments = [self._due_at, self._report_at, self._refusals.again_at()]
        moments += [send.renew_at for send in self._sending.values()]
        return max(min(self._setup.config.notifier.poll_seconds, min(moments) - now), 0)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self.service.rest_seconds)):
                await self._wake.wait()

    def _is_over(self, *, once: bool) -> bool:
        """Without a database: whether it is to end, and nothing is left to record.

        Raises NotRecorded when something is, but its lease has ended meanwhile.
        """
        if not once and self._stopping_since is None:
            return False
        if not self._is_anything_unrecorded():
            return True
        # However long it has been ending, the database has a lease's time to come back.
        waiting_since = max(self._lost_since or 0, self._stopping_since or 0)
        waited = asyncio.get_running_loop().time() - waiting_since
        if waited > self._setup.config.notifier.lease_seconds:
            raise NotRecorded(f"{len(self._results)} results could not be recorded")
        return False

    async def _close(self) -> None:
        await self._cut()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        if self._is_started:
            await self._setup.close()


@contextlib.asynccontextmanager
async def _connected() -> AsyncIterator[Database]:
    database = await Database.connect(STATEMENT_SECONDS)
    try:
        yield database
    finally:
        await database.close()


def _event_name(result: Result) -> str:
    if result.state != "pending":
        return result.state
    return "blocked" if result.is_blocked else "retrying"


def _later(seconds: float | None) -> float:
    """The loop's time in so many seconds, but not at once; None: never."""
    if seconds is None:
        return math.inf
    return asyncio.get_running_loop().time() + max(seconds, SHORTEST_WAIT_SECONDS)


async def _retire(setup: Setup, sending: set[asyncio.Task[None]]) -> None:
    """Closes the channels of an earlier config when its last message is through."""
    if sending:
        await asyncio.wait(sending)
    await setup.close()
