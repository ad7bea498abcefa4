"""Asks a channel for the presses of its buttons, does what they stand for, and answers them.

One notifier of several does so at a time, by a right that it renews with each poll and that others
take over when it ends. A press is done and remembered in one transaction, and answered after it: a
notifier that dies in between has done it all the same, and it is never done twice. Shards share a
bot, so their router's notifier asks for the presses of all of them. It may do a press again, which
changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from logging import ERROR, INFO, WARNING
from typing import Any, TypeVar

import psycopg

from notifier.channels.presses import Press, PressesRefused, WithButtons
from notifier.database.errors import DatabaseUnusable, is_temporary, reason
from notifier.database.statements import Database
from notifier.database.values import Pressed
from notifier.delivery.outage import RECONNECT
from notifier.delivery.retry import backoff
from notifier.delivery.setup import Setup
from notifier.locales import LOCALES, Locale, press_answer
from notifier.logs import event

WAIT_SECONDS = 4
"""How long a poll waits for a press."""
LEASE_SECONDS = 8.0
"""How long the right to poll lasts: longer than a poll, short enough that presses are answered
within seconds after its holder has died."""
REST_SECONDS = 2.0
"""How often to look whether there is something to do: the right, or a config with buttons."""
LONGEST_REST_SECONDS = 60.0
"""The longest wait that a channel may ask for: meanwhile the config is not looked at."""
STOP_SECONDS = 5.0
"""How long to wait at the end for answers to presses and for the database."""

Found = TypeVar("Found")


class _Stopped(Exception):
    """stop() was called."""


@dataclass
class Buttons:
    """The polling of one notifier, in a task of its own with a connection of its own.

    name       the notifier
    connected  opens a connection for the time of a block
    """

    name: str
    connected: Callable[[], contextlib.AbstractAsyncContextManager[Database]]

    def __post_init__(self) -> None:
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._answered: set[str] = set()  # presses that will be reported again
        self._polled: str | None = None  # the channel that this notifier has the right to poll
        self._failures = 0  # polls that failed in a row
        self._successes = 0
        self._problem: str | None = ""  # as reported; empty: another notifier may have reported one
        self._attempts = 0  # at the database, that failed in a row
        self._refusal: str | None = None  # what the database refuses, as logged

    def start(self, setup: Callable[[], Setup]) -> None:
        """Begins to poll whenever the current setup has a channel with buttons."""
        self._task = asyncio.create_task(self._run(setup))

    def stop(self) -> None:
        """Polls no more, and lets another notifier do so at once."""
        self._stopping.set()

    async def close(self) -> None:
        """Waits for the end, but not for long."""
        self.stop()
        if self._task is not None:
            await _end([self._task])
        await _end(self._answers)

    # --- The task ----------------------------------------------------------------------------

    async def _run(self, setup: Callable[[], Setup]) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(_Stopped):
                try:
                    if _with_buttons(setup()) is not None:
                        async with self._connection() as database:
                            await self._poll(database, setup)
                    await self._rest(REST_SECONDS)
                    continue
                except _Stopped:
                    raise
                except (psycopg.Error, DatabaseUnusable) as error:
                    self._refused_by_database(error)
                except Exception as error:
                    event(ERROR, "bug", reason=repr(error))
                self._attempts += 1
                await self._rest(_delay_seconds(self._attempts))

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Database]:
        async with contextlib.AsyncExitStack() as stack:
            connected = self.connected()
            yield await self._unless_stopped(stack.enter_async_context(connected))

    async def _poll(self, database: Database, setup: Callable[[], Setup]) -> None:
        """Polls until the config has no buttons any more, or stop()."""
        try:
            while (found := _with_buttons(setup())) is not None and not self._stopping.is_set():
                name, channel = found
                offset = await database.poll_buttons(self.name, name, LEASE_SECONDS)
                self._refusal, self._attempts = None, 0
                if offset is None:
                    self._lost()
                    await self._rest(REST_SECONDS)
                else:
                    self._has_right(name)
                    await self._ask(database, name, channel, offset, _locale(setup()))
        finally:
            if self._polled is not None:
                with contextlib.suppress(psycopg.Error):
                    await database.poll_buttons(self.name, self._polled, 0)
                self._lost()

    async def _ask(
        self, database: Database, name: str, channel: WithButtons, offset: int, locale: Locale
    ) -> None:
        """One poll, and what comes of it."""
        try:
            found = await self._unless_stopped(channel.presses(offset, WAIT_SECONDS))
        except PressesRefused as refused:
            await self._refused(database, name, refused)
            return
        await self._went_well(database, name)
        if found.next_offset is not None:
            pressed = await database.press_buttons(
                self.name, name, found.presses, found.next_offset
            )
            self._answer(name, channel, found.presses, pressed, locale)
            await self._wait_for_shards(found.presses, pressed)

    # --- Answers -----------------------------------------------------------------------------

    def _answer(
        self,
        name: str,
        channel: WithButtons,
        presses: Sequence[Press],
        pressed: Sequence[Pressed],
        locale: Locale,
    ) -> None:
        """Begins to answer. The next poll does not wait for it."""
        by_id = {press.press_id: press for press in presses}
        for each in pressed:
            if each.press_id in self._answered:
                continue
            text = press_answer(each.result, each.acknowledged_by, locale=locale)
            answer = _answer_and_log(name, channel, by_id[each.press_id], each.result, text)
            task = asyncio.create_task(answer)
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)

    async def _wait_for_shards(self, presses: Sequence[Press], pressed: Sequence[Pressed]) -> None:
        """On a router, a press may wait for a shard that is away. Until it is answered, the channel
        reports it again, and with it those that are answered already."""
        if len(pressed) == len(presses):
            self._answered.clear()
            return
        self._answered.update(each.press_id for each in pressed)
        await self._rest(REST_SECONDS)

    # --- What goes wrong ---------------------------------------------------------------------

    async def _refused(self, database: Database, name: str, refused: PressesRefused) -> None:
        """Waits longer after each failure. One that another notifier causes, which has taken over
        just now, or that passes by itself, is not reported."""
        self._failures += 1
        self._successes = 0
        if self._failures >= (2 if refused.is_final else 4):
            await self._report(database, name, refused.reason)
        stated = refused.delay.total_seconds() if refused.delay else 0
        await self._rest(max(min(stated, LONGEST_REST_SECONDS), _delay_seconds(self._failures)))

    async def _went_well(self, database: Database, name: str) -> None:
        """Two polls in a row: another program that polls as well lets some of ours pass."""
        self._failures = 0
        self._successes += 1
        if self._successes >= 2:
            await self._report(database, name, None)

    async def _report(self, database: Database, name: str, problem: str | None) -> None:
        if problem != self._problem:
            if problem:
                event(ERROR, "buttons_refused", channel=name, reason=problem)
            elif self._problem:
                event(INFO, "buttons_work_again", channel=name)
            await database.report_button_problem(name, problem)
            self._problem = problem

    def _refused_by_database(self, error: psycopg.Error | DatabaseUnusable) -> None:
        """The work loop logs that the database is away."""
        if isinstance(error, psycopg.Error) and is_temporary(error):
            return
        refusal = reason(error) if isinstance(error, psycopg.Error) else str(error)
        if refusal != self._refusal:
            self._refusal = refusal
            event(ERROR, "database_refuses", step="poll buttons", reason=refusal)

    def _has_right(self, name: str) -> None:
        if self._polled != name:
            event(INFO, "polling_buttons", channel=name)
            self._polled = name

    def _lost(self) -> None:
        """Another notifier polls from now on, or none does."""
        self._answered.clear()
        self._polled, self._failures, self._successes, self._problem = None, 0, 0, ""

    # --- Waiting -----------------------------------------------------------------------------

    async def _rest(self, seconds: float) -> None:
        """Raises _Stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise _Stopped

    async def _unless_stopped(self, work: Coroutine[Any, Any, Found]) -> Found:
        """The result of the work. Raises _Stopped, after cancelling it."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Stopped
        finally:
            for each in (task, stop):
                each.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Waits for the tasks, but not for long."""
    ending = [*tasks]
    if ending:
        await asyncio.wait(ending, timeout=STOP_SECONDS)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def _answer_and_log(
    name: str, channel: WithButtons, press: Press, result: str, text: str
) -> None:
    problem = await channel.answer_press(press.press_id, text)
    event(
        WARNING if result == "failed" else INFO,
        "button_pressed",
        channel=name,
        chat=press.chat_id,
        message=press.message_id,
        by=press.by,
        result=result,
        not_answered=problem,
    )


def _with_buttons(setup: Setup) -> tuple[str, WithButtons] | None:
    """The channel whose messages have buttons; None: there is none."""
    for name, channel in setup.channels.items():
        if isinstance(channel, WithButtons) and channel.has_buttons:
            return name, channel
    return None


def _locale(setup: Setup) -> Locale:
    return LOCALES[setup.config.notifier.locale]


def _delay_seconds(attempts: int) -> float:
    return backoff(RECONNECT, attempts, jitter=1).total_seconds()
