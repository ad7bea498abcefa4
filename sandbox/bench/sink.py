"""A server that answers like Telegram, as fast as Python can: `python -m sandbox.bench.sink`.

The first line of its output is its port. For each message to the chat PROBE it prints a line with
the time of arrival (time.monotonic, which all processes of a machine share). A GET returns what
has arrived since the last GET: {"messages": 20000, "seconds": 17.2}, where the seconds are those
from the first arrival to the last.
"""

from __future__ import annotations

import asyncio
import time

PROBE = -1
_PROBED = b'"chat_id":%d,' % PROBE
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Ledger:
    """Counts what arrives."""

    def __init__(self) -> None:
        self.messages = 0
        self.first_at = self.last_at = 0.0

    def answer(self, method: bytes, body: bytes) -> bytes:
        if method == b"GET":
            seconds = self.last_at - self.first_at
            text = b'{"messages": %d, "seconds": %f}' % (self.messages, seconds)
            self.messages = 0
        else:
            self.last_at = time.monotonic()
            if not self.messages:
                self.first_at = self.last_at
            self.messages += 1
            if _PROBED in body:
                print(self.last_at, flush=True)
            text = b'{"ok":true,"result":{"message_id":%d}}' % self.messages
        return _HEAD % len(text) + text


class Connection(asyncio.Protocol):
    """One client: HTTP/1.1 with keep-alive, one request at a time, with Content-Length."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        _, named, value = head.lower().partition(b"\r\ncontent-length:")
        length = int(value.partition(b"\r\n")[0]) if named else 0
        if end and len(body) >= length:
            self._received = b""
            self._transport.write(self._ledger.answer(head.partition(b" ")[0], body))


async def main() -> None:
    ledger = Ledger()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(ledger), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
