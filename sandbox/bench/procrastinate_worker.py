"""A drain by procrastinate: `python -m sandbox.bench.procrastinate_worker URL COUNT AT_ONCE BODY`,
with the database in DATABASE_URL.

It defers COUNT jobs, each of which POSTs the JSON in BODY by one httpx.AsyncClient. Then it runs
them, AT_ONCE at a time, and exits.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import procrastinate
import psycopg

from sandbox.bench.bare_httpx import client

MAX_CONNECTIONS = 50
"""Fewer than PostgreSQL's default of 100. A few more than the pool's default of 4 help a little."""


async def main(url: str, count: int, at_once: int, body: str) -> None:
    database = os.environ["DATABASE_URL"]
    connector = procrastinate.PsycopgConnector(
        conninfo=database, min_size=4, max_size=min(at_once + 1, MAX_CONNECTIONS)
    )
    app = procrastinate.App(connector=connector)
    async with app.open_async(), client() as sink:

        async def post(**message: object) -> None:
            (await sink.post(url, json=message)).raise_for_status().json()

        task = app.task(post, name="post")
        await app.schema_manager.apply_schema_async()
        await task.batch_defer_async(*[json.loads(body)] * count)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        await app.run_worker_async(concurrency=at_once, wait=False)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
