"""What a drain is compared with: `python -m sandbox.bench.bare_httpx URL COUNT AT_ONCE` POSTs so
often by one httpx.AsyncClient, with so many requests at once, and does nothing else."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable

import httpx

BODY = {
    "chat_id": -1000,
    "text": "x" * 250,
    "parse_mode": "HTML",
    "link_preview_options": {"is_disabled": True},
}
"""As Telegram's channel sends it; the text is as long as those of the notifier's."""


async def main(url: str, count: int, at_once: int) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    turns = iter(range(count))
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=30) as client:
        await asyncio.gather(*(_post(client, url, turns) for _ in range(at_once)))


async def _post(client: httpx.AsyncClient, url: str, turns: Iterable[int]) -> None:
    for _ in turns:
        (await client.post(url, json=BODY)).raise_for_status().json()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
