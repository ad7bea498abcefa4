"""A stand-in for Telegram's Bot API: one bot, which writes messages, edits them, and asks for the
presses of their buttons."""

from __future__ import annotations

import html
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.standins.faults import Fault, Weighted, network_faults
from sandbox.standins.http import Call, Reply, json_reply
from sandbox.standins.server import Entry, StandIn


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
    """A message as its readers saw it at first.

    reply_to  the message that it answers
    buttons   the callback data of its buttons by their labels
    """

    message_id: int
    chat_id: int
    message_thread_id: int | None
    text: str
    entities: tuple[Entity, ...]
    reply_to: int | None = None
    buttons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Edit:
    """What a message was changed to, and when (seconds since 1970)."""

    message_id: int
    chat_id: int
    text: str
    entities: tuple[Entity, ...]
    buttons: Mapping[str, str]
    edited_at: float


@dataclass(frozen=True)
class PressAnswer:
    """What the presser of a button was shown."""

    press_id: str
    text: str


class _BadRequest(Exception):
    """Telegram refuses the request with 400."""


_BOT_METHOD = re.compile(r"/bot([^/]+)/([A-Za-z]+)")
FIRST_UPDATE_ID = 760546622
OTHER_POLLER = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is"
    " running"
)
WEBHOOK = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the"
    " webhook first"
)


class TelegramStandIn(StandIn):
    """A Bot API server with one bot; it reads JSON bodies only.

    messages        what the bot sent, each as it was at first
    edits           what messages were changed to later, in order
    deleted         the ids of messages that somebody has deleted
    frozen          the ids of messages that the bot may not edit
    press_answers   what pressers were shown, in order
    webhook         whether updates go elsewhere
    expired         the ids of presses that can no longer be answered
    polls           how often getUpdates was called
    """

    delivery = "sendMessage"

    def __init__(self, token: str, chats: Iterable[Chat] = (Chat(-1001),)) -> None:
        super().__init__()
        self.token = token
        self.chats = {chat.chat_id: chat for chat in chats}
        self.messages: list[TelegramMessage] = []
        self.edits: list[Edit] = []
        self.deleted: set[int] = set()
        self.frozen: set[int] = set()
        self.press_answers: list[PressAnswer] = []
        self.webhook = False
        self.expired: set[str] = set()
        self._updates: list[Mapping[str, Any]] = []  # not confirmed
        self._last_update_id = FIRST_UPDATE_ID - 1
        self._allowed_updates: Sequence[str] = ()  # empty: almost all
        self.polls = 0
        self._arrival = threading.Condition()

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
                return self._send_message(_request(call))
            case "editMessageText":
                return self._edit_message(_request(call))
            case "getUpdates":
                return self._get_updates(_request(call))
            case "answerCallbackQuery":
                return self._answer_callback_query(_request(call))
            case _:
                return _telegram_error(404, "Not Found")

    def receive(self, call: Call, fault: Fault | None) -> tuple[Entry, Reply | None]:
        """As StandIn.receive, but getUpdates waits first, and another one ends the wait."""
        if call.operation == "getUpdates" and fault is None:
            fault = self._await_updates(_request(call))
        return super().receive(call, fault)

    # --- What people do ----------------------------------------------------------------------

    def shown(self, message_id: int) -> TelegramMessage | Edit:
        """The message as its readers see it now."""
        seen: list[TelegramMessage | Edit] = [*self.messages, *self.edits]
        return next(each for each in reversed(seen) if each.message_id == message_id)

    def press(
        self,
        message: TelegramMessage | Edit,
        *,
        by: Mapping[str, Any] | str = "duty",
        chat_id: int | None = None,
        data: str | None = None,
    ) -> str:
        """Press the message's button, which it had at least once; returns the id of the press.

        by       a @name without the @, or what Telegram tells of a user
        chat_id  another chat that shows the same button
        data     what the button stands for, if not what the message said
        """
        if data is None:
            (data,) = message.buttons.values()
        user = {"username": by, "first_name": "Duty"} if isinstance(by, str) else dict(by)
        chat = self.chats.get(message.chat_id if chat_id is None else chat_id)
        place = {"id": chat_id, "type": "supergroup"} if chat is None else _chat_fields(chat)
        with self._arrival:
            self._last_update_id += 1
            press_id = str(4382 * 10**15 + self._last_update_id)
            update = {
                "update_id": self._last_update_id,
                "callback_query": {
                    "id": press_id,
                    "from": {"id": 7, "is_bot": False, **user},
                    "message": {
                        "message_id": message.message_id,
                        "chat": place,
                        "date": int(time.time()),
                        "text": message.text,
                    },
                    "chat_instance": "-1",
                    "data": data,
                },
            }
            if not self._allowed_updates or "callback_query" in self._allowed_updates:
                self._updates.append(update)
                self._arrival.notify_all()
        return press_id

    def shown_to(self, press_id: str) -> list[str]:
        """What the presser was shown; empty: nothing so far."""
        return [each.text for each in self.press_answers if each.press_id == press_id]

    # --- What the bot does -------------------------------------------------------------------

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
        try:
            reply_to = self._reply_to(request.get("reply_parameters"), chat)
            buttons = _buttons(request)
        except _BadRequest as error:
            return _telegram_error(400, f"Bad Request: {error}")
        message = TelegramMessage(
            len(self.messages) + 1,
            chat.chat_id,
            thread_id,
            text,
            tuple(entities),
            reply_to,
            buttons,
        )
        self.messages.append(message)
        return json_reply(200, {"ok": True, "result": self._as_result(message, chat)})

    def _reply_to(self, parameters: Any, chat: Chat) -> int | None:
        if parameters is None:
            return None
        message_id = parameters.get("message_id")
        if self._has(message_id, chat):
            return int(message_id)
        if parameters.get("allow_sending_without_reply") is True:
            return None
        raise _BadRequest("message to be replied not found")

    def _has(self, message_id: Any, chat: Chat) -> bool:
        return message_id not in self.deleted and any(
            (message.message_id, message.chat_id) == (message_id, chat.chat_id)
            for message in self.messages
        )

    def _edit_message(self, request: Mapping[str, Any]) -> Reply:
        try:
            text, entities = _text_of(request)
            chat = self._chat(request.get("chat_id"))
            if chat.moved_to is not None:
                return _telegram_error(
                    400,
                    "Bad Request: group chat was upgraded to a supergroup chat",
                    {"migrate_to_chat_id": chat.moved_to},
                )
            if chat.forbids is not None:
                return _telegram_error(403, f"Forbidden: {chat.forbids}")
            message_id = request.get("message_id")
            if not isinstance(message_id, int) or message_id <= 0:
                raise _BadRequest("message identifier is not specified")
            if not self._has(message_id, chat):
                raise _BadRequest("message to edit not found")
            if message_id in self.frozen:
                raise _BadRequest("message can't be edited")
            buttons = _buttons(request)
            now = self.shown(message_id)
            if (now.text, now.entities, now.buttons) == (text, tuple(entities), buttons):
                raise _BadRequest(
                    "message is not modified: specified new message content and reply markup are"
                    " exactly the same as a current content and reply markup of the message"
                )
        except _BadRequest as error:
            return _telegram_error(400, f"Bad Request: {error}")
        edit = Edit(message_id, chat.chat_id, text, tuple(entities), buttons, time.time())
        self.edits.append(edit)
        self.ledger[-1].changed = edit
        return json_reply(200, {"ok": True, "result": self._as_result(edit, chat)})

    def _await_updates(self, request: Mapping[str, Any]) -> Fault | None:
        """Waits until there is an update, the request's timeout has passed, or another getUpdates
        arrives, which this one then loses to."""
        deadline = time.monotonic() + float(request.get("timeout", 0))
        with self._arrival:
            self.polls += 1
            poll = self.polls
            self._arrival.notify_all()
            if "allowed_updates" in request:
                self._allowed_updates = request["allowed_updates"]
            while not (self.webhook or self.closing.is_set() or self._unread(request)):
                left = deadline - time.monotonic()
                if left <= 0 or poll != self.polls:
                    break
                self._arrival.wait(min(left, 0.1))
            return self.refusal(409, OTHER_POLLER) if poll != self.polls else None

    def _get_updates(self, request: Mapping[str, Any]) -> Reply:
        if self.webhook:
            return _telegram_error(409, WEBHOOK)
        with self._arrival:
            unread = self._unread(request)
            offset = int(request.get("offset", 0))
            if offset <= self._last_update_id + 10:  # these are confirmed, and forgotten
                self._updates = [each for each in self._updates if each["update_id"] >= offset]
        return json_reply(200, {"ok": True, "result": unread[: int(request.get("limit", 100))]})

    def _unread(self, request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """An offset far in the future is ignored, as by the Bot API server."""
        offset = int(request.get("offset", 0))
        if offset > self._last_update_id + 10:
            offset = 0
        return [each for each in self._updates if each["update_id"] >= offset]

    def _answer_callback_query(self, request: Mapping[str, Any]) -> Reply:
        press_id, text = request.get("callback_query_id"), request.get("text", "")
        if not isinstance(press_id, str) or press_id in self.expired:
            return _telegram_error(
                400,
                "Bad Request: query is too old and response timeout expired or query ID is invalid",
            )
        if len(text) > 200:
            return _telegram_error(400, "Bad Request: MESSAGE_TOO_LONG")
        self.press_answers.append(PressAnswer(press_id, text))
        return json_reply(200, {"ok": True, "result": True})

    def _chat(self, chat_id: Any) -> Chat:
        if chat_id in (None, "", 0):
            raise _BadRequest("chat_id is empty")
        for chat in self.chats.values():
            if chat_id == chat.chat_id or (chat.name and chat_id == chat.name):
                return chat
        raise _BadRequest("chat not found")

    def _as_result(self, message: TelegramMessage | Edit, chat: Chat) -> dict[str, Any]:
        result = {
            "message_id": message.message_id,
            "from": self._bot(),
            "chat": _chat_fields(chat),
            "date": int(time.time()),
            "text": message.text,
            "entities": [asdict(entity) for entity in message.entities],
        }
        if isinstance(message, Edit):
            result["edit_date"] = int(message.edited_at)
        elif message.message_thread_id is not None:
            result["message_thread_id"] = message.message_thread_id
            result["is_topic_message"] = True
        return result


def _request(call: Call) -> Mapping[str, Any]:
    return call.body if isinstance(call.body, dict) else {}


def _chat_fields(chat: Chat) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": chat.chat_id, "title": chat.title, "type": "supergroup"}
    if chat.name is not None:
        fields["username"] = chat.name.removeprefix("@")
    return fields


def _buttons(request: Mapping[str, Any]) -> dict[str, str]:
    """The callback data by label. Enforces Telegram's limits."""
    rows = (request.get("reply_markup") or {}).get("inline_keyboard", [])
    buttons = {button["text"]: button["callback_data"] for row in rows for button in row}
    if not all(1 <= len(data.encode()) <= 64 for data in buttons.values()):
        raise _BadRequest("BUTTON_DATA_INVALID")
    return buttons


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
