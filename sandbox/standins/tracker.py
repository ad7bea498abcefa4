"""Stand-ins of the channels' servers: real HTTP/1.1 on a free port of 127.0.0.1.

Each speaks the protocol of its API, keeps a ledger of what it truly accepted, and can be told what
to do with the next requests:

    with TelegramStandIn("12345:token") as telegram:
        telegram.script(RESET_AFTER, late(2.0), telegram.refusal(429, "Too Many Requests", 5))
        ...                               # send to telegram.base_url
        telegram.messages                 # what a reader of the chats would see
        telegram.ledger                   # every request, and what was truly done with it

or, by chance, with one request in five for as long as it stands:

    telegram.chance = RandomFaults("seed", 0.2, telegram_faults(telegram, 30), name_of)
"""

from __future__ import annotations

import html
import json
import os
import random
import re
import select
import socket
import struct
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal, NoReturn, Self, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

# --- What can go wrong -------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong.

    accepts  do the work (write the ledger) before misbehaving
    reply    what is answered in place of the true answer; needed where nothing is accepted,
             except with a reset
    delay_seconds  how long the answer takes
    let_go         the answer waits until this is set
    ending   half: the connection closes in the middle of the body; reset: there is no answer
    name     what a report calls it
    """

    accepts: bool = False
    reply: Reply | None = None
    delay_seconds: float = 0.0
    let_go: threading.Event | None = field(default=None, compare=False)
    ending: Literal["whole", "half", "reset"] = "whole"
    name: str = field(default="", compare=False)

    @property
    def hides_success(self) -> bool:
        """Whether the work was done, and the answer does not say so."""
        return self.accepts and (self.ending != "whole" or self.reply is not None)


RESET_BEFORE = Fault(ending="reset", name="reset before taking it")
RESET_AFTER = Fault(accepts=True, ending="reset", name="reset after taking it")
HALF_AN_ANSWER = Fault(accepts=True, ending="half", name="half an answer")


def late(seconds: float) -> Fault:
    """Accepts at once and answers late."""
    return Fault(accepts=True, delay_seconds=seconds, name=f"answered after {seconds:g} s")


def held(let_go: threading.Event) -> Fault:
    """Accepts at once and answers when it is let go."""
    return Fault(accepts=True, let_go=let_go, name="held back")


def page(status: int, *, accepts: bool = False) -> Fault:
    """HTML where JSON is due, as gateways answer."""
    body = f"<html><body><h1>{status}</h1></body></html>".encode()
    name = f"a page with status {status}" + (" after taking it" if accepts else "")
    return Fault(accepts, Reply(status, body, {"Content-Type": "text/html"}), name=name)


def redirect(location: str, status: int = 307) -> Fault:
    """Sends the client elsewhere."""
    return Fault(reply=Reply(status, headers={"Location": location}), name=f"redirect {status}")


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    content_type = {"Content-Type": "application/json; charset=utf-8"}
    return Reply(status, json.dumps(value).encode(), {**content_type, **(headers or {})})


Weighted: TypeAlias = tuple[Fault, float]


class RandomFaults:
    """A share of the requests goes wrong, in ways that are drawn by their weights.

    What becomes of the n-th request of one name follows from the seed alone: in what order those
    of different names arrive changes nothing.

    name_of  the name of a request: the same whenever it is repeated, and in every run
    """

    def __init__(
        self,
        seed: str,
        share: float,
        faults: Sequence[Weighted],
        name_of: Callable[[Call], str],
    ) -> None:
        self._seed = seed
        self._name_of = name_of
        self._share = share
        self._faults = [fault for fault, _ in faults]
        self._weights = [weight for _, weight in faults]
        self._counts: Counter[str] = Counter()

    def draw(self, call: Call) -> Fault | None:
        """The fault of this request; None: nothing is wrong with it."""
        name = f"{call.operation} {self._name_of(call)}"
        self._counts[name] += 1
        # Reproducible on purpose: it guards nothing.
        chance = random.Random(f"{self._seed} {self._counts[name]} {name}")  # noqa: S311
        if chance.random() >= self._share:
            return None
        return chance.choices(self._faults, self._weights)[0]


# --- The server --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A request as it arrived. `body` is its JSON value, None when it is none."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Headers
    body: Any


@dataclass
class Entry:
    """A request in the ledger. Times are seconds since 1970, as the machine's clock has them.

    waited_seconds  how long it had lain in the kernel's buffer, unread
    taken     the message or ticket that the request made
    outcome   none: not answered yet, or reset, or half; whole: the answer was sent; unheard: the
              client had hung up before
    """

    call: Call
    fault: Fault | None
    arrived_at: float
    waited_seconds: float = 0.0
    taken: TelegramMessage | Ticket | None = None
    status: int | None = None
    outcome: Literal["none", "whole", "unheard"] = "none"
    answered_at: float | None = None


class StandIn(ABC):
    """A server in threads of this process; a context manager.

    ledger       every request that was read to its end, in order
    more_tokens  as good as the token itself: who sends with which is told apart in the ledger
    chance       where nothing is scripted, this decides what goes wrong
    answer_seconds  how long every answer takes
    """

    delivery: ClassVar[str]
    """The operation that delivers a message: what `script` means unless told otherwise."""

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
        """The next requests for the operation go wrong like that, one fault each, in order."""
        with self._lock:
            self._faults[operation or self.delivery].extend(faults)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Within, connections are cut and refused; afterwards the server is back on its port."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    @abstractmethod
    def refusal(self, status: int, text: str, retry_after: int | None = None) -> Fault:
        """The API's own way of saying no, nothing being accepted."""

    @abstractmethod
    def operation(self, path: str) -> str:
        """The name of what a path asks for."""

    @abstractmethod
    def handle(self, call: Call) -> Reply:
        """Does what is asked, one request at a time."""

    @property
    def is_idle(self) -> bool:
        """Whether nobody has a connection."""
        return not self._server.connections

    @property
    @abstractmethod
    def taken(self) -> Sequence[TelegramMessage | Ticket]:
        """What was accepted, in order."""

    @abstractmethod
    def token_of(self, call: Call) -> str:
        """The token with which a request came; empty: none."""

    def next_fault(self, operation: str) -> Fault | None:
        """The scripted fault, if there is one left."""
        with self._lock:
            faults = self._faults[operation]
            return faults.popleft() if faults else None

    def receive(self, call: Call, fault: Fault | None) -> tuple[Entry, Reply | None]:
        """Does the work that a request asks for; the answer, None where there is none."""
        with self._lock:
            if fault is None and self.chance is not None:
                fault = self.chance.draw(call)
            self.calls.append(call)
            entry = Entry(call, fault, time.time())
            self.ledger.append(entry)
            if fault == RESET_BEFORE:
                return entry, None
            count = len(self.taken)
            truth = self.handle(call) if fault is None or fault.accepts else None
            if len(self.taken) > count:
                entry.taken = self.taken[-1]
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
        """A client that went away is no error of ours; anything else is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Dropped(Exception):
    """The connection is gone: nothing more is to be done on it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # the head and the body of an answer leave in one piece

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
        operation = stand_in.operation(url.path)
        fault = stand_in.next_fault(operation)
        if fault == RESET_BEFORE:
            self._drop()
        length = int(self.headers.get("Content-Length", "0"))
        content = self.rfile.read(length)
        if len(content) < length:  # its client died in the middle of it: it is no request
            self._drop()
        call = Call(
            operation=operation,
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query)),
            headers=self.headers,
            body=_json(content),
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
        if entry.fault and (let_go := entry.fault.let_go):
            while not (let_go.wait(0.02) or stand_in.closing.is_set()):
                pass
        ending = entry.fault.ending if entry.fault else "whole"
        heard = not self._has_hung_up()
        self._answer(reply, ending)
        if ending == "whole":
            entry.outcome, entry.answered_at = "whole" if heard else "unheard", time.time()

    def _waited_seconds(self) -> float:
        """How long ago the last of the request came in: tcpi_last_data_recv, milliseconds, the
        twelfth number of Linux's tcp_info after its eight bytes."""
        info = self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return float(struct.unpack_from("I", info, 8 + 11 * 4)[0]) / 1000

    def _has_hung_up(self) -> bool:
        """Whether the client, which has nothing more to say now, has closed the connection."""
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
        """Resets the connection: with no time to linger, closing sends RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        raise _Dropped

    def log_message(self, format: str, *args: Any) -> None:
        """Tests and the demo show what they want to show themselves."""


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


# --- Telegram ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chat:
    """A group that the bot may or may not write to.

    name      the @name of a public one
    topics    ids of a forum's topics
    moved_to  the supergroup that this group has become
    forbids   why the bot is refused here, e.g. "bot was kicked from the group chat"
    """

    chat_id: int
    title: str = "Duty"
    name: str | None = None
    topics: frozenset[int] = frozenset()
    moved_to: int | None = None
    forbids: str | None = None


@dataclass(frozen=True)
class Entity:
    """A stretch of formatted text; offset and length in UTF-16 units, as Telegram counts them."""

    type: str
    offset: int
    length: int


@dataclass(frozen=True)
class TelegramMessage:
    """A message as its readers see it."""

    message_id: int
    chat_id: int
    message_thread_id: int | None
    text: str
    entities: tuple[Entity, ...]


class _BadRequest(Exception):
    """A request that Telegram refuses with 400."""


_BOT_METHOD = re.compile(r"/bot([^/]+)/([A-Za-z]+)")


class TelegramStandIn(StandIn):
    """A Bot API server with one bot: getMe and sendMessage, JSON bodies."""

    delivery = "sendMessage"

    def __init__(self, token: str, chats: Iterable[Chat] = (Chat(-1001),)) -> None:
        super().__init__()
        self.token = token
        self.chats = {chat.chat_id: chat for chat in chats}
        self.messages: list[TelegramMessage] = []

    @property
    def taken(self) -> Sequence[TelegramMessage]:
        return self.messages

    def token_of(self, call: Call) -> str:
        bot = _BOT_METHOD.fullmatch(call.path)
        return bot[1] if bot else ""

    def refusal(self, status: int, text: str, retry_after: int | None = None) -> Fault:
        if retry_after is None:
            return Fault(reply=_telegram_error(status, text), name=f"{status} {text}")
        return Fault(
            reply=_telegram_error(
                status, text, {"retry_after": retry_after}, {"Retry-After": str(retry_after)}
            ),
            name=f"{status} {text}",
        )

    def operation(self, path: str) -> str:
        return path.rpartition("/")[2]

    def handle(self, call: Call) -> Reply:
        token = self.token_of(call)
        if not token:
            return _telegram_error(404, "Not Found")
        if token != self.token and token not in self.more_tokens:
            return _telegram_error(401, "Unauthorized")
        match call.operation:
            case "getMe":
                return json_reply(200, {"ok": True, "result": self._bot()})
            case "sendMessage":
                return self._send_message(call.body if isinstance(call.body, dict) else {})
            case _:
                return _telegram_error(404, "Not Found")

    def _bot(self) -> dict[str, Any]:
        bot_id = int(self.token.partition(":")[0])
        return {"id": bot_id, "is_bot": True, "first_name": "Stand-in", "username": "standin_bot"}

    def _send_message(self, request: Mapping[str, Any]) -> Reply:
        try:
            text, entities = _text_of(request)
            chat = self._chat(request.get("chat_id"))
        except _BadRequest as error:
            return _telegram_error(400, f"Bad Request: {error}")
        thread_id = request.get("message_thread_id")
        if chat.moved_to is not None:
            return _telegram_error(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                {"migrate_to_chat_id": chat.moved_to},
            )
        if chat.forbids is not None:
            return _telegram_error(403, f"Forbidden: {chat.forbids}")
        if thread_id is not None and thread_id not in chat.topics:
            return _telegram_error(400, "Bad Request: message thread not found")
        message = TelegramMessage(
            len(self.messages) + 1, chat.chat_id, thread_id, text, tuple(entities)
        )
        self.messages.append(message)
        return json_reply(200, {"ok": True, "result": self._as_result(message, chat)})

    def _chat(self, chat_id: Any) -> Chat:
        if chat_id in (None, "", 0):
            raise _BadRequest("chat_id is empty")
        for chat in self.chats.values():
            if chat_id == chat.chat_id or (chat.name and chat_id == chat.name):
                return chat
        raise _BadRequest("chat not found")

    def _as_result(self, message: TelegramMessage, chat: Chat) -> dict[str, Any]:
        result = {
            "message_id": message.message_id,
            "from": self._bot(),
            "chat": {"id": chat.chat_id, "title": chat.title, "type": "supergroup"},
            "date": int(time.time()),
            "text": message.text,
            "entities": [asdict(entity) for entity in message.entities],
        }
        if message.message_thread_id is not None:
            result["message_thread_id"] = message.message_thread_id
            result["is_topic_message"] = True
        return result


def _telegram_error(
    status: int,
    description: str,
    parameters: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if parameters is not None:
        body["parameters"] = parameters
    return json_reply(status, body, headers)


def _text_of(request: Mapping[str, Any]) -> tuple[str, list[Entity]]:
    """The text as its reader sees it, within Telegram's limits."""
    text, mode = request.get("text"), request.get("parse_mode", "")
    if not isinstance(text, str) or not text:
        raise _BadRequest("message text is empty")
    if len(text.encode()) > 32_768:
        raise _BadRequest("message is too long")
    entities: list[Entity] = []
    if str(mode).lower() == "html":
        text, entities = parse_html(text)
    elif mode:
        raise _BadRequest("unsupported parse_mode")
    if not text.strip():
        raise _BadRequest("text must be non-empty")
    if len(text) > 4096:
        raise _BadRequest("message is too long")
    return text, entities


_ENTITY_TYPES = {
    **dict.fromkeys(("b", "strong"), "bold"),
    **dict.fromkeys(("i", "em"), "italic"),
    **dict.fromkeys(("u", "ins"), "underline"),
    **dict.fromkeys(("s", "strike", "del"), "strikethrough"),
    **dict.fromkeys(("tg-spoiler", "span"), "spoiler"),
    "a": "text_link",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
    "tg-time": "date_time",
}
_MARKUP = re.compile(
    r"""<(?P<slash>/?)(?P<tag>[^\s>]*)(?P<attributes>(?:"[^"]*"|'[^']*'|[^>"'])*)(?P<end>>?)"""
    r"|&(?:lt|gt|amp|quot|#[0-9]+|#x[0-9a-fA-F]+);?"
)


def parse_html(markup: str) -> tuple[str, list[Entity]]:
    """Telegram's HTML, as strict as Telegram: raises _BadRequest for an unknown tag, a bare < and
    a tag without its counterpart. Only five kinds of character references are decoded."""
    text = ""
    entities: list[Entity] = []
    open_tags: list[tuple[str, int]] = []
    end = 0
    for found in _MARKUP.finditer(markup):
        text += markup[end : found.start()]
        end = found.end()
        if found["tag"] is None:
            text += html.unescape(found[0])
            continue
        tag = found["tag"].lower()
        where = f"at byte offset {len(markup[: found.start()].encode())}"
        if not found["end"]:
            raise _unparsable(f"Unclosed {'end' if found['slash'] else 'start'} tag {where}")
        if not found["slash"]:
            if tag not in _ENTITY_TYPES:
                raise _unparsable(f'Unsupported start tag "{tag}" {where}')
            if tag == "span" and "tg-spoiler" not in found["attributes"]:
                raise _unparsable(f'Tag "span" must have class "tg-spoiler" {where}')
            open_tags.append((tag, _utf16_length(text)))
            continue
        if not open_tags:
            raise _unparsable(f"Unexpected end tag {where}")
        opened, offset = open_tags.pop()
        if tag != opened:
            raise _unparsable(
                f'Unmatched end tag {where}, expected "</{opened}>", found "</{tag}>"'
            )
        if length := _utf16_length(text) - offset:
            entities.append(Entity(_ENTITY_TYPES[tag], offset, length))
    if open_tags:
        raise _unparsable(f'Can\'t find end tag corresponding to start tag "{open_tags[-1][0]}"')
    return text + markup[end:], entities


def _unparsable(why: str) -> _BadRequest:
    return _BadRequest(f"can't parse entities: {why}")


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


# --- Yandex Tracker ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Ticket:
    """An issue that was created."""

    key: str
    queue: str
    summary: str
    description: str
    unique: str | None


class TrackerStandIn(StandIn):
    """An organization's Tracker: creating an issue, both ways of finding it, and myself.

    organization  the header, and its value, that names the organization; None: no such header
    """

    delivery = "create"

    def __init__(
        self,
        token: str,
        *,
        scheme: Literal["OAuth", "Bearer"] = "OAuth",
        organization: tuple[Literal["X-Org-ID", "X-Cloud-Org-ID"], str] | None = None,
        queues: Iterable[str] = ("DUTY",),
    ) -> None:
        super().__init__()
        self.token = token
        self.queues = frozenset(queues)
        self.tickets: list[Ticket] = []
        self._by_unique: dict[str, Ticket] = {}
        self._scheme = scheme
        self._organization = dict([organization] if organization else [])

    @property
    def taken(self) -> Sequence[Ticket]:
        return self.tickets

    def token_of(self, call: Call) -> str:
        return (call.headers["Authorization"] or "").removeprefix(f"{self._scheme} ")

    def refusal(self, status: int, text: str, retry_after: int | None = None) -> Fault:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Fault(reply=_tracker_error(status, text, headers=headers), name=f"{status} {text}")

    def operation(self, path: str) -> str:
        last = path.rstrip("/").rpartition("/")[2]
        return self.delivery if last == "issues" else last

    def handle(self, call: Call) -> Reply:
        scheme, _, token = (call.headers["Authorization"] or "").partition(" ")
        if scheme != self._scheme or (token != self.token and token not in self.more_tokens):
            return _tracker_error(401, "Не авторизован.")
        named = {name: call.headers[name] for name in ("X-Org-ID", "X-Cloud-Org-ID")}
        if {name: value for name, value in named.items() if value} != self._organization:
            return _tracker_error(403, "Organization is not available, not ready or not found")
        body = call.body if isinstance(call.body, dict) else {}
        match call.method, re.sub(r"^/v[23](?=/)", "", call.path).rstrip("/"):
            case "POST", "/issues":
                return self._create(body)
            case "POST", "/issues/_findByUnique":
                found = self._with_unique(call.query.get("unique"))
                return json_reply(200, found[0]) if found else _tracker_error(404, "Не найдено.")
            case "POST", "/issues/_search":
                filters = body.get("filter")
                if not isinstance(filters, dict) or list(filters) != ["unique"]:
                    return _tracker_error(400, "This stand-in filters by unique alone.")
                found = self._with_unique(str(filters["unique"]))
                return json_reply(200, found, {"X-Total-Count": str(len(found))})
            case "GET", "/myself":
                return json_reply(200, {"login": "stand-in", "display": "Stand-in"})
            case _:
                return _tracker_error(404, "Не найдено.")

    def _create(self, body: Mapping[str, Any]) -> Reply:
        missing = [
            name
            for name in ("summary", "queue")
            if not (isinstance(body.get(name), str) and body[name].strip())
        ]
        if missing:
            return _tracker_error(422, errors=dict.fromkeys(missing, "Обязательное поле."))
        queue, unique = body["queue"], body.get("unique")
        if not isinstance(unique, str | None):
            return _tracker_error(422, errors={"unique": "Неверный тип."})
        if queue not in self.queues:
            return _tracker_error(404, "Очередь не существует.")
        if self._with_unique(unique):
            return _tracker_error(409, "Задача с таким значением unique уже существует.")
        ticket = Ticket(
            key=f"{queue}-{len(self.tickets) + 1}",
            queue=queue,
            summary=body["summary"],
            description=body.get("description", ""),
            unique=unique,
        )
        self.tickets.append(ticket)
        if unique is not None:
            self._by_unique[unique] = ticket
        return json_reply(201, self._as_issue(ticket))

    def _with_unique(self, unique: str | None) -> list[dict[str, Any]]:
        ticket = None if unique is None else self._by_unique.get(unique)
        return [self._as_issue(ticket)] if ticket else []

    def _as_issue(self, ticket: Ticket) -> dict[str, Any]:
        return {
            "self": f"{self.base_url}/v3/issues/{ticket.key}",
            "id": ticket.key.rpartition("-")[2].zfill(24),
            "key": ticket.key,
            "version": 1,
            "summary": ticket.summary,
            "description": ticket.description,
            "queue": {"key": ticket.queue, "display": ticket.queue},
            "status": {"key": "open", "display": "Открыт"},
            "unique": ticket.unique,
        }


def _tracker_error(
    status: int,
    message: str | None = None,
    *,
    errors: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    body = {
        "errors": errors or {},
        "errorsData": {},
        "errorMessages": [message] if message else [],
        "statusCode": status,
    }
    return json_reply(status, body, headers)


# --- What both APIs are known to answer on a bad day -------------------------------------------


def _network_faults(client_patience_seconds: float | None) -> list[Weighted]:
    """By weight: connections that break, answers that are late or none of the API's."""
    hopeless = [] if client_patience_seconds is None else [(late(client_patience_seconds * 1.3), 2)]
    return [
        *hopeless,
        (RESET_BEFORE, 14),
        (RESET_AFTER, 10),
        (HALF_AN_ANSWER, 8),
        (late(0.2), 12),
        (page(200, accepts=True), 3),
        (page(502), 8),
        (page(502, accepts=True), 3),
        (page(503), 3),
        (page(504), 3),
        (page(504, accepts=True), 2),
        (page(403), 2),
        (redirect("http://127.0.0.1:9/", 302), 0.5),
    ]


def telegram_faults(
    telegram: TelegramStandIn, client_patience_seconds: float | None
) -> list[Weighted]:
    """By weight: what the Bot API is known to answer, besides what any network does.

    client_patience_seconds  after which the client gives a request up, as it then has to do with
                             some; None: with none
    """
    say = telegram.refusal
    return [
        *_network_faults(client_patience_seconds),
        (say(500, "Internal Server Error"), 8),
        (say(502, "Bad Gateway"), 3),
        (say(429, "Too Many Requests"), 4),
        (say(429, "Too Many Requests: retry after 1", 1), 4),
        (say(400, "Bad Request: can't parse entities: of the stand-in"), 3),
        (say(400, "Bad Request: chat not found"), 1),
        (say(400, "Bad Request: message thread not found"), 0.5),
        (say(400, "Bad Request: have no rights to send a message"), 0.5),
        (say(403, "Forbidden: bot was kicked from the group chat"), 1),
        (say(403, "Forbidden: bot was blocked by the user"), 0.5),
        (say(401, "Unauthorized"), 0.5),
        (say(404, "Not Found"), 0.5),
    ]


def tracker_faults(
    tracker: TrackerStandIn, client_patience_seconds: float | None
) -> list[Weighted]:
    """By weight: what Tracker is known to answer, besides what any network does.

    client_patience_seconds  after which the client gives a request up, as it then has to do with
                             some; None: with none
    """
    say = tracker.refusal
    return [
        *_network_faults(client_patience_seconds),
        (say(500, "Внутренняя ошибка."), 8),
        (say(503, "Сервис недоступен."), 3),
        (say(429, "Слишком много запросов."), 4),
        (say(429, "Слишком много запросов, через секунду.", 1), 4),
        (say(409, "Конфликт версий."), 1),
        (say(400, "Неверный запрос."), 0.5),
        (say(403, "Organization is not available, not ready or not found"), 0.5),
        (say(404, "Очередь не существует."), 0.5),
        (say(412, "Условие не выполнено."), 0.5),
        (say(422, "Неверные данные."), 1),
        (say(423, "Задача закрыта для изменений."), 0.5),
        (say(428, "Нужна версия."), 0.5),
        (say(401, "Не авторизован."), 0.5),
    ]
