"""What a drain is compared with: `python -m sandbox.bench.bare_httpx URL COUNT AT_ONCE`.

It sends COUNT POST requests, AT_ONCE of them at a time, by one httpx.AsyncClient, and does nothing
else.
"""

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
"""What the notifier sends to Telegram; the text is about as long as its texts."""


def client() -> httpx.AsyncClient:
    """A client without a limit on its connections."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(trust_env=False, limits=limits, timeout=30)


async def main(url: str, count: int, at_once: int) -> None:
    turns = iter(range(count))
    async with client() as sink:
        await asyncio.gather(*(_post(sink, url, turns) for _ in range(at_once)))


async def _post(sink: httpx.AsyncClient, url: str, turns: Iterable[int]) -> None:
    for _ in turns:
        (await sink.post(url, json=BODY)).raise_for_status().json()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
