"""Sends leased recipients, each in a task of its own."""

from __future__ import annotations

import asyncio
import random
import socket
from logging import ERROR, INFO, WARNING
from typing import Any

from notifier import steps
from notifier.channels.http import before_request
from notifier.channels.outcomes import Blocked, Earlier, Failed, InDoubt, Message, Outcome, Sent
from notifier.database.values import Delivery, Result
from notifier.delivery.leases import Lease, LeaseLost, Leases
from notifier.delivery.retry import result
from notifier.delivery.setup import Setup
from notifier.delivery.signals import Signals
from notifier.logs import event
from notifier.metrics import Metrics
from notifier.notification_types import TEST_TYPE
from notifier.templates import TemplateError


class Sender:
    """The tasks of the sends in flight. Each ends its lease, and wakes the work loop."""

    def __init__(self, leases: Leases, signals: Signals, metrics: Metrics) -> None:
        self._leases = leases
        self._signals = signals
        self._metrics = metrics
        self._sending: dict[asyncio.Task[Result | None], Lease] = {}

    def tasks(self) -> set[asyncio.Task[Result | None]]:
        """The tasks that have not ended."""
        return set(self._sending)

    def start(self, setup: Setup, lease: Lease) -> None:
        """Begins a send."""
        task = asyncio.create_task(self._send(setup, lease))
        self._sending[task] = lease
        task.add_done_callback(self._ended)

    async def cut(self) -> None:
        """Cancels all sends. Those whose request may be out are in doubt; the others leave no
        result."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Result | None]) -> None:
        lease = self._sending.pop(task)
        if task.cancelled():
            self._leases.end(lease, None)
        elif error := task.exception():
            event(ERROR, "bug", token=lease.delivery.idempotency_token, reason=repr(error))
            result = Result(lease.delivery.recipient_id, "in_doubt", error=repr(error))
            self._leases.end(lease, result)
        else:
            self._leases.end(lease, task.result())
        if self._leases.are_most_finished():
            self._signals.hurry()
        else:
            self._signals.wake()

    async def _send(self, setup: Setup, lease: Lease) -> Result | None:
        """One attempt, counted and logged. None: the lease was lost before the request. If another
        notifier has it by now, that one sends the message; otherwise the recipient is given
        back."""
        delivery = lease.delivery
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            outcome = await _attempt(setup, lease)
        except LeaseLost:
            lease.is_dropped = True
            self._metrics.leases_lost.inc()
            event(WARNING, "dropped", token=delivery.idempotency_token, channel=delivery.channel)
            return None
        latency = delivery.waited.total_seconds() + loop.time() - began_at
        if delivery.type != TEST_TYPE:
            self._metrics.attempted(delivery.channel, outcome, latency)
        jitter = random.random()  # noqa: S311  # spreads retries; not a secret
        recorded = result(delivery, outcome, setup.retry, setup.in_doubt(delivery.channel), jitter)
        _log(delivery, outcome, recorded)
        return recorded


async def _attempt(setup: Setup, lease: Lease) -> Outcome:
    """One attempt. Raises only LeaseLost and CancelledError, and only before the request is out:
    otherwise there is an outcome, so that one bad row does not stop the others."""
    delivery = lease.delivery
    loop = asyncio.get_running_loop()
    channel = setup.channels[delivery.channel]
    step = steps.kind(delivery.step)
    is_held = delivery.is_in_doubt and setup.in_doubt(delivery.channel) == "hold"
    if is_held and not channel.changes_earlier(step):
        return InDoubt("a notifier was lost while sending this")
    if delivery.attempts > setup.retry.give_up_after_attempts:
        return Failed(f"gave up: {delivery.attempts - 1} attempts ended without a result")
    try:
        facts = _facts(setup, delivery)
        parts = setup.renderer.render(facts["type"], type(channel), facts)
    except TemplateError as error:
        return Blocked(error.reason)
    except (ArithmeticError, TypeError, ValueError) as error:
        return Failed(f"unreadable details: {error}")
    message = Message(
        delivery.idempotency_key,
        delivery.target,
        parts,
        step,
        None if delivery.earlier is None else Earlier(**delivery.earlier),
        setup.button(delivery),
        may_be_sent=is_held,
    )
    before_request.set(lambda: lease.start_request(loop.time()))
    try:
        return await channel.deliver(message)
    except (asyncio.CancelledError, LeaseLost) as error:
        if not lease.is_request_out:
            raise
        return InDoubt(f"cut short ({type(error).__name__})")
    except Exception as error:
        event(ERROR, "bug", token=delivery.idempotency_token, reason=repr(error))
        return InDoubt(f"unexpected {type(error).__name__}")


def _facts(setup: Setup, delivery: Delivery) -> dict[str, Any]:
    if delivery.digest is not None:
        filters = delivery.digest_filters(delivery.digest)
        return {
            **delivery.digest_facts(delivery.digest),
            "board_url": setup.config.board_url(filters),
        }
    facts = delivery.facts(delivery.step, delivery.as_of, delivery.told or (), delivery.silenced)
    if delivery.type == TEST_TYPE:
        return {**facts, "sent_by": socket.gethostname()}
    return {**facts, "mission_url": setup.config.mission_url(delivery.mission_id)}


def _log(delivery: Delivery, outcome: Outcome, recorded: Result) -> None:
    event(
        INFO if recorded.state == "sent" else WARNING,
        _event_name(recorded),
        token=delivery.idempotency_token,
        channel=delivery.channel,
        step=None if delivery.step == "alert" else delivery.step,
        alerts=None if delivery.digest is None else delivery.digest["alerts"],
        attempt=delivery.attempts,
        reference=recorded.reference,
        delay_seconds=round(recorded.delay_seconds, 1) or None,
        reason=recorded.error,
        moved_to=outcome.moved_to if isinstance(outcome, Sent) else None,
    )


def _event_name(recorded: Result) -> str:
    if recorded.state != "pending":
        return recorded.state
    return "blocked" if recorded.is_blocked else "retrying"
