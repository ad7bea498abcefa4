"""notifier status, retry, acknowledge."""

from __future__ import annotations

from dataclasses import replace

from notifier import psql, test_message
from notifier.commands.connection import connected
from notifier.commands.output import say, say_json
from notifier.status import report
from notifier.status.advice import advice
from notifier.status.snapshot import JobsStatus, Status


async def status(*, as_json: bool, with_jobs: bool) -> int:
    async with connected() as database:
        found = await Status.read(database)
    if with_jobs and not found.shards:  # a router has no jobs
        found = replace(found, jobs=JobsStatus(*psql.cron_script("status.sql").errors()))
    if as_json:
        say_json(report.document(found))
    else:
        say(report.text(found))
    return 1 if advice(found) else 0


async def retry(token: str | None, channel: str | None, *, as_sent: bool) -> int:
    async with connected() as database:
        if as_sent and token is not None:
            print(f"{await database.confirm(token, channel)} recipients recorded as sent")
        else:
            print(f"{await database.retry(token, channel)} deliveries will be tried again")
    return 0


async def acknowledge(token: str, by: str | None) -> int:
    name = test_message.asked_by() if by is None else by
    async with connected() as database:
        is_first = await database.acknowledge(token, name)
    say(f"acknowledged by {name}" if is_first else "somebody has acknowledged it already")
    return 0
