"""A stand-in for Telegram's Bot API: one bot, getMe and sendMessage."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.standins.faults import Fault, Weighted, network_faults
from sandbox.standins.http import Call, Reply, json_reply
from sandbox.standins.server import StandIn


@dataclass(frozen=True)
class Chat:
    """A group chat.

    name      the @name, if it is public
    topics    the ids of its topics, if it is a forum
    moved_to  the chat_id of the supergroup that it was upgraded to
    forbids   why the bot may not write here, such as "bot was kicked from the group chat"
    """

    chat_id: int
    title: str = "Duty"
    name: str | None = None
    topics: frozenset[int] = frozenset()
    moved_to: int | None = None
    forbids: str | None = None


@dataclass(frozen=True)
class Entity:
    """A formatted part of a text. Offset and length are in UTF-16 code units, as Telegram has
    them."""

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
    """Telegram refuses the request with 400."""


_BOT_METHOD = re.compile(r"/bot([^/]+)/([A-Za-z]+)")


class TelegramStandIn(StandIn):
    """A Bot API server with one bot; it reads JSON bodies only."""

    delivery = "sendMessage"

    def __init__(self, token: str, chats: Iterable[Chat] = (Chat(-1001),)) -> None:
        super().__init__()
        self.token = token
        self.chats = {chat.chat_id: chat for chat in chats}
        self.messages: list[TelegramMessage] = []

    @property
    def accepted(self) -> Sequence[TelegramMessage]:
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

    def operation(self, method: str, path: str) -> str:
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
    """The text as its readers see it, and its formatting. Enforces Telegram's limits."""
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
    """Parse HTML as strictly as Telegram does.

    Raises _BadRequest for an unknown tag, a bare < and a tag without its counterpart. Decodes
    only &lt; &gt; &amp; &quot; and numeric references.
    """
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


def telegram_faults(
    telegram: TelegramStandIn, client_timeout_seconds: float | None
) -> list[Weighted]:
    """What the Bot API is known to answer, and what any network does, with weights.

    client_timeout_seconds  some answers come after the client's timeout; None: no answer does
    """
    refusal = telegram.refusal
    return [
        *network_faults(client_timeout_seconds),
        (refusal(500, "Internal Server Error"), 8),
        (refusal(502, "Bad Gateway"), 3),
        (refusal(429, "Too Many Requests"), 4),
        (refusal(429, "Too Many Requests: retry after 1", 1), 4),
        (refusal(400, "Bad Request: can't parse entities: of the stand-in"), 3),
        (refusal(400, "Bad Request: chat not found"), 1),
        (refusal(400, "Bad Request: message thread not found"), 0.5),
        (refusal(400, "Bad Request: have no rights to send a message"), 0.5),
        (refusal(403, "Forbidden: bot was kicked from the group chat"), 1),
        (refusal(403, "Forbidden: bot was blocked by the user"), 0.5),
        (refusal(401, "Unauthorized"), 0.5),
        (refusal(404, "Not Found"), 0.5),
    ]
