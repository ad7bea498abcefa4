"""What wakes the work loop: news from the database, finished sends, and the request to stop."""

from __future__ import annotations

import asyncio
import contextlib

# How long the first result waits for others, so that they are recorded, and the slots they free are
# filled, together.
GATHERING_SECONDS = 0.005


class Signals:
    """Set by anybody, read by the work loop."""

    def __init__(self) -> None:
        self.has_news = True
        """There may be something to plan, or a new config."""
        self.stopping_since: float | None = None
        """The event loop's time of stop(); None: it was not called."""
        self._wake = asyncio.Event()
        self._is_gathered = asyncio.Event()  # results need not wait for others

    def news(self) -> None:
        """The database has something new, or the connection has ended."""
        self.has_news = True
        self.hurry()

    def stop(self, now: float) -> None:
        """The notifier is to finish what is in flight and end."""
        self.stopping_since = now
        self.hurry()

    def hurry(self) -> None:
        """Wakes the loop, which records what it has at once."""
        self._is_gathered.set()
        self._wake.set()

    def wake(self) -> None:
        """Wakes the loop, which may gather more results before it records them."""
        self._wake.set()

    def clear(self) -> None:
        """The loop is about to look at everything."""
        self._wake.clear()
        self._is_gathered.clear()

    @property
    def is_awake(self) -> bool:
        """Whether something has happened since clear()."""
        return self._wake.is_set()

    @property
    def is_stopping(self) -> bool:
        return self.stopping_since is not None

    async def wait(self, seconds: float) -> None:
        """Waits until something wakes the loop, at most this many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def gather(self) -> None:
        """Waits a few milliseconds for more results, or less if the loop was hurried."""
        if not self._is_gathered.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHERING_SECONDS):
                    await self._is_gathered.wait()
