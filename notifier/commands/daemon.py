"""notifier run, notifier serve."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from notifier.delivery.notifier import Notifier
from notifier.metrics import Metrics
from notifier.resources import TEMPLATES
from notifier.secrets import Secrets
from notifier.systemd import Service
from notifier.web.address import Address


async def run(secrets: Secrets, listen: Address | None, *, once: bool) -> int:
    notifier = Notifier(TEMPLATES, secrets, service=Service(os.environ))
    if listen is None:
        on_signals(notifier.stop)
        await notifier.run(once=once)
        return 0
    from notifier.web.server import open_server, run_together  # takes a second to import

    async with open_server(listen, secrets, notifier.metrics) as server:
        await run_together(server, notifier, until_signalled())
    return 0


async def serve(secrets: Secrets, listen: Address) -> int:
    from notifier.web.server import open_server, run_together

    async with open_server(listen, secrets, Metrics()) as server:
        await run_together(server, None, until_signalled())
    return 0


def until_signalled() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    on_signals(stop.set)
    return stop


def on_signals(stop: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
