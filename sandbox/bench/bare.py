"""What a drain is compared with: `python -m sandbox.bench.bare URL COUNT CONCURRENCY BODY` POSTs
so often by one httpx.AsyncClient, with so many requests at once, and does nothing else."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable

import httpx


async def main(url: str, count: int, concurrency: int, body: object) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    turns = iter(range(count))
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=30) as client:
        await asyncio.gather(*(_post(client, url, body, turns) for _ in range(concurrency)))


async def _post(client: httpx.AsyncClient, url: str, body: object, turns: Iterable[int]) -> None:
    for _ in turns:
        (await client.post(url, json=body)).raise_for_status().json()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])))
