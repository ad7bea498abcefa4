"""The HTTP server that every stand-in is built on: HTTP/1.1 on a free port of 127.0.0.1."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal, NoReturn, Self, cast
from urllib.parse import parse_qsl, urlsplit

from sandbox.standins.faults import RESET_BEFORE, Fault, RandomFaults
from sandbox.standins.http import Call, Reply


@dataclass
class Entry:
    """A request in the ledger. Times are seconds since 1970, by the machine's clock.

    waited_seconds  how long it was in the kernel's buffer before the stand-in read it
    accepted        the message or ticket that the request made
    changed         what the request made of an earlier one
    outcome         whole: the answer was sent; unheard: the client had hung up before;
                    none: no answer yet, a reset, or half an answer
    """

    call: Call
    fault: Fault | None
    arrived_at: float
    waited_seconds: float = 0.0
    accepted: object | None = None
    changed: object | None = None
    status: int | None = None
    outcome: Literal["none", "whole", "unheard"] = "none"
    answered_at: float | None = None


class StandIn(ABC):
    """A server in threads of this process; a context manager.

    ledger          every request that was read to its end, in order
    calls           the same requests alone
    more_tokens     valid besides the token itself; the ledger shows which one a request used
    chance          decides what goes wrong where nothing is scripted
    answer_seconds  how long every answer takes
    """

    delivery: ClassVar[str]
    """The operation that makes a message or a ticket; the default of `script`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.ledger: list[Entry] = []
        self.more_tokens: set[str] = set()
        self.chance: RandomFaults | None = None
        self.answer_seconds = 0.0
        self.closing = threading.Event()
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._port = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def script(self, *faults: Fault, operation: str | None = None) -> None:
        """Let the next requests for the operation go wrong: one fault each, in order."""
        with self._lock:
            self._faults[operation or self.delivery].extend(faults)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Break and refuse connections for the length of the block; then return to the same
        port."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    @abstractmethod
    def refusal(self, status: int, text: str, retry_after: int | None = None) -> Fault:
        """The API's own error answer; nothing is accepted."""

    @abstractmethod
    def operation(self, method: str, path: str) -> str:
        """The name of the operation that a request asks for."""

    @abstractmethod
    def handle(self, call: Call) -> Reply:
        """Do what the request asks for. One request at a time."""

    @property
    def is_idle(self) -> bool:
        """Whether no client is connected."""
        return not self._server.connections

    @property
    @abstractmethod
    def accepted(self) -> Sequence[object]:
        """The accepted messages or tickets, in order."""

    @abstractmethod
    def token_of(self, call: Call) -> str:
        """The token that a request came with; empty: none."""

    def next_fault(self, operation: str) -> Fault | None:
        """Take the next scripted fault, if there is one."""
        with self._lock:
            faults = self._faults[operation]
            return faults.popleft() if faults else None

    def receive(self, call: Call, fault: Fault | None) -> tuple[Entry, Reply | None]:
        """Note the request and do its work. Returns the answer; None: there is none."""
        with self._lock:
            if fault is None and self.chance is not None:
                fault = self.chance.draw(call)
            self.calls.append(call)
            entry = Entry(call, fault, time.time())
            self.ledger.append(entry)
            if fault == RESET_BEFORE:
                return entry, None
            count = len(self.accepted)
            truth = self.handle(call) if fault is None or fault.accepts else None
            if len(self.accepted) > count:
                entry.accepted = self.accepted[-1]
        reply = (fault and fault.reply) or truth
        assert reply is not None, "a fault that accepts nothing needs a reply"
        entry.status = reply.status
        return entry, reply

    def _start(self) -> None:
        self.closing.clear()
        self._server = _Server(self, self._port)
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True
        )
        self._thread.start()

    def _stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def __init__(self, stand_in: StandIn, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.stand_in = stand_in
        self.connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that went away; show any other error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Dropped(Exception):
    """The connection is closed; stop handling it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: the head and the body of an answer leave together

    def handle(self) -> None:
        try:
            super().handle()
        except (_Dropped, ConnectionError):
            self.close_connection = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        stand_in = cast(_Server, self.server).stand_in
        url = urlsplit(self.path)
        operation = stand_in.operation(self.command, url.path)
        fault = stand_in.next_fault(operation)
        if fault == RESET_BEFORE:
            self._drop()
        length = int(self.headers.get("Content-Length", "0"))
        content = self.rfile.read(length)
        if len(content) < length:  # the client broke off: this is not a request
            self._drop()
        call = Call(
            operation=operation,
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query)),
            headers=self.headers,
            body=_json(content),
            content=content,
        )
        waited_seconds = self._waited_seconds()
        entry, reply = stand_in.receive(call, fault)
        entry.waited_seconds = waited_seconds
        if reply is None:
            self._drop()
        delay_seconds = stand_in.answer_seconds
        if entry.fault:
            delay_seconds += entry.fault.delay_seconds
        if delay_seconds:
            stand_in.closing.wait(delay_seconds)
        if entry.fault and (release := entry.fault.release):
            while not (release.wait(0.02) or stand_in.closing.is_set()):
                pass
        ending = entry.fault.ending if entry.fault else "whole"
        heard = not self._has_hung_up()
        self._answer(reply, ending)
        if ending == "whole":
            entry.outcome, entry.answered_at = "whole" if heard else "unheard", time.time()

    def _waited_seconds(self) -> float:
        """How long ago the last bytes of the request came in. Linux's tcp_info has it in
        milliseconds: tcpi_last_data_recv, the twelfth number after eight single bytes."""
        info = self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return float(struct.unpack_from("I", info, 8 + 11 * 4)[0]) / 1000

    def _has_hung_up(self) -> bool:
        """Whether the client, which awaits its answer, has closed the connection."""
        arrivals = select.poll()
        arrivals.register(self.connection, select.POLLIN)
        readable = arrivals.poll(0)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _answer(self, reply: Reply, ending: str) -> None:
        if ending == "reset":
            self._drop()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if ending == "half":
            self.close_connection = True
            self.wfile.write(reply.body[: len(reply.body) // 2])
        else:
            self.wfile.write(reply.body)
        self.wfile.flush()

    def _drop(self) -> NoReturn:
        """Reset the connection: with a linger time of 0, closing sends RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        raise _Dropped

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: tests and the demo print what they need."""


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
