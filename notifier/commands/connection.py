"""The database, for the time of a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from notifier.database.statements import Database

# retry --failed may have to update every failed recipient at once.
STATEMENT_SECONDS = 600.0


@asynccontextmanager
async def connected() -> AsyncIterator[Database]:
    database = await Database.connect(STATEMENT_SECONDS)
    try:
        await database.check_version()
        yield database
    finally:
        await database.close()
