"""One answer for everybody who asks the same question at the same time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

Question = TypeVar("Question", bound=Hashable)
Found = TypeVar("Found")


@dataclass
class _Entry(Generic[Found]):
    task: asyncio.Task[Found]
    fresh_until: float = math.inf


class SharedAnswers(Generic[Question, Found]):
    """Asks each question once at a time; an answer is shared until it is `seconds` old.

    An error is shared as well: callers must not press a database that is away.
    """

    def __init__(self, ask: Callable[[Question], Awaitable[Found]], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._entries: dict[Question, _Entry[Found]] = {}

    async def get(self, question: Question) -> Found:
        """The answer. Raises what `ask` raised."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._entries = {
            asked: entry for asked, entry in self._entries.items() if now < entry.fresh_until
        }
        entry = self._entries.get(question)
        if entry is None:
            entry = self._entries[question] = _Entry(loop.create_task(self._answer(question)))
            entry.task.add_done_callback(partial(self._finish, entry))
        # A cancelled caller must not cancel the shared query.
        return await asyncio.shield(entry.task)

    async def _answer(self, question: Question) -> Found:
        return await self._ask(question)

    def _finish(self, entry: _Entry[Found], task: asyncio.Task[Found]) -> None:
        entry.fresh_until = task.get_loop().time() + self._seconds
        if not task.cancelled():
            task.exception()  # Marks it as retrieved, in case no caller is left to see it.
