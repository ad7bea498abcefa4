"""Telegram: one sendMessage call of the Bot API for each message, and editMessageText for what
becomes of it.

Telegram has no idempotency key, and bots cannot read what was sent: a sendMessage without an answer
stays in doubt. An edit may be repeated. The meaning of each answer comes from the source of the Bot
API server. Its wording may change, so descriptions are matched loosely.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from notifier.channels.base import Channel
from notifier.channels.http import (
    Answer,
    HttpClient,
    as_mapping,
    refusal,
    seconds,
    unanswered,
)
from notifier.channels.outcomes import (
    Button,
    Earlier,
    InDoubt,
    Message,
    Misconfigured,
    Outcome,
    Retry,
    Sent,
)
from notifier.channels.presses import Presses, PressesRefused, WithButtons
from notifier.channels.settings import ChannelSettings
from notifier.channels.telegram_presses import presses_in, request_for
from notifier.channels.telegram_settings import TelegramRecipient, TelegramSettings
from notifier.secrets import SecretMissing, Secrets

TEXT_LIMIT = 4096
"""Code points after parsing. Parsing never lengthens a text, so a raw text of this length fits."""

PRESS_ANSWER_LIMIT = 200
"""The most characters that the presser of a button can be shown."""

_NOT_MODIFIED = re.compile("not modified", re.IGNORECASE)
_NOT_EDITABLE = re.compile(
    "message to edit not found|can't be edited|MESSAGE_ID_INVALID"
    "|message identifier is not specified",
    re.IGNORECASE,
)

_SUPERGROUP = re.compile(r"-100([0-9]{10,})")
"""The chat_id of a supergroup, and its own number in it. Basic groups have shorter numbers."""

_TAG = re.compile(
    r"</?(?:b|strong|i|em|u|ins|s|strike|del|a|code|pre|blockquote|span|tg-[a-z]+)(?:\s[^<>]*)?>",
    re.IGNORECASE,
)
_LINK = re.compile(r"""<a\s+href=["']([^"'<>]*)["']\s*>(.*?)</a>""", re.IGNORECASE | re.DOTALL)


class Telegram(Channel, WithButtons):
    """Sends HTML messages as a bot."""

    name: ClassVar[str] = "telegram"
    parts: ClassVar[tuple[str, ...]] = ("text",)
    html_parts: ClassVar[frozenset[str]] = frozenset({"text"})
    Settings = TelegramSettings
    Recipient = TelegramRecipient
    idempotent: ClassVar[bool] = False

    def __init__(self, settings: TelegramSettings, secrets: Secrets) -> None:
        token = quote(secrets.get(settings.token_env), safe=":")
        super().__init__(settings, secrets, proxy=_proxy(settings, secrets))
        self._settings = settings
        self._bot = f"{settings.root}/bot{token}"
        self._poll_client: HttpClient | None = None
        self._poll_seconds = 0.0  # the timeout of _poll_client

    async def aclose(self) -> None:
        await super().aclose()
        if self._poll_client is not None:
            await self._poll_client.aclose()

    # --- Messages --------------------------------------------------------------------------------

    @classmethod
    def link(
        cls,
        settings: ChannelSettings,
        target: Mapping[str, Any],
        reference: str | None,
        sent_to: str | None,
    ) -> str | None:
        """The address of a message in a supergroup or in what has a @name. Telegram has none for
        messages in private chats and basic groups."""
        chat = str(sent_to or target.get("chat_id", ""))
        supergroup = _SUPERGROUP.fullmatch(chat)
        if not (reference and reference.isdecimal() and (supergroup or chat.startswith("@"))):
            return None
        place = f"c/{supergroup[1]}" if supergroup else chat[1:]
        thread = target.get("message_thread_id")
        return f"https://t.me/{place}/{reference if thread is None else f'{thread}/{reference}'}"

    async def _send(self, message: Message) -> Outcome:
        recipient = TelegramRecipient.model_validate(dict(message.target))
        return await self._send_new(message, recipient, None)

    async def _follow_up(self, message: Message, earlier: Earlier) -> Outcome:
        recipient = TelegramRecipient.model_validate(dict(message.target))
        message_id = _message_id(earlier)
        if message_id is None or not _is_same_chat(earlier, recipient):
            return await self._send_new(message, recipient, None)
        if self.changes_earlier(message.step):
            answer = await self._edit(message, earlier, message_id)
            if isinstance(answer, Retry):
                return answer
            if new_chat_id := _new_chat_id(answer):  # where messages have other ids
                moved = recipient.model_copy(update={"chat_id": new_chat_id})
                return await self._send_new(message, moved, None)
            if answer.status == 400 and _NOT_MODIFIED.search(_description(answer)):
                return Sent(str(message_id), sent_to=earlier.address)
            if answer.status != 400 or not _NOT_EDITABLE.search(_description(answer)):
                return _edited(answer, message_id, earlier)
        return await self._send_new(message, recipient, message_id)

    def changes_earlier(self, step: str) -> bool:
        """A message that was planned before on_resolved became `nothing` is still edited."""
        if step == "resolved":
            return self._settings.on_resolved != "reply"
        return step == "acknowledged"

    async def _send_new(
        self, message: Message, recipient: TelegramRecipient, reply_to: int | None
    ) -> Outcome:
        if message.may_be_sent:
            return InDoubt("a new message may have been sent, because the old one cannot be edited")
        request = _request(recipient, message, reply_to)
        answer = await self._call(f"{self._bot}/sendMessage", json=request)
        for _ in range(2):  # once to the group's new number, once as plain text
            corrected = _corrected(request, answer)
            if corrected is None:
                break
            request = corrected
            answer = await self._call(f"{self._bot}/sendMessage", json=request)
        moved = request["chat_id"] != message.target["chat_id"]
        moved_to = {**message.target, "chat_id": request["chat_id"]} if moved else None
        return _outcome(answer, moved_to)

    async def _edit(self, message: Message, earlier: Earlier, message_id: int) -> Answer | Retry:
        """Telegram's answer to the edit; Retry: there is none, and the edit may be repeated."""
        request = {
            "chat_id": _chat_of(earlier),
            "message_id": message_id,
            **_content(message),
        }
        try:
            answer = await self._call(f"{self._bot}/editMessageText", json=request)
            if _is_unparsable(request, answer):
                request = _as_plain_text(request)
                answer = await self._call(f"{self._bot}/editMessageText", json=request)
        except (httpx.HTTPError, TimeoutError) as error:
            outcome = unanswered(error)
            if isinstance(outcome, InDoubt):
                return Retry(outcome.reason)
            raise
        return answer

    # --- Presses of buttons ----------------------------------------------------------------------

    @property
    def has_buttons(self) -> bool:
        return self._settings.buttons is True

    async def presses(self, offset: int, wait_seconds: int) -> Presses:
        client = await self._client_for_polls(wait_seconds)
        request = request_for(offset, wait_seconds)
        try:
            return presses_in(await client.request("POST", f"{self._bot}/getUpdates", json=request))
        except PressesRefused as refused:
            refused.reason = self._presentable(refused.reason)
            raise
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise PressesRefused(self._presentable(unanswered(error).reason)) from None

    async def answer_press(self, press_id: str, text: str) -> str | None:
        """Cut to 200 characters, which is all that Telegram shows."""
        request = {"callback_query_id": press_id, "text": text[:PRESS_ANSWER_LIMIT]}
        try:
            answer = await self._call(f"{self._bot}/answerCallbackQuery", json=request)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return self._presentable(unanswered(error).reason)
        if answer.is_success:
            return None
        return self._presentable(answer.reason(_description(answer)))

    async def _client_for_polls(self, wait_seconds: float) -> HttpClient:
        """Its timeout is longer than the wait."""
        timeout_seconds = self._settings.timeout_seconds + wait_seconds
        if self._poll_client is None or self._poll_seconds != timeout_seconds:
            if self._poll_client is not None:
                await self._poll_client.aclose()
            proxy = _proxy(self._settings, self._secrets)
            self._poll_client = HttpClient(timeout_seconds, None, proxy)
            self._poll_seconds = timeout_seconds
        return self._poll_client


def _proxy(settings: TelegramSettings, secrets: Secrets) -> httpx.Proxy | None:
    if settings.proxy is None:
        return None
    if settings.proxy_auth_env is None:
        return httpx.Proxy(settings.proxy)
    user, colon, password = secrets.get(settings.proxy_auth_env).partition(":")
    if not colon:
        raise SecretMissing(
            f"secret {settings.proxy_auth_env} is unusable: it must be user:password"
        )
    return httpx.Proxy(settings.proxy, auth=(user, password))


def _request(
    recipient: TelegramRecipient, message: Message, reply_to: int | None
) -> dict[str, Any]:
    request: dict[str, Any] = {"chat_id": recipient.chat_id, **_content(message)}
    if recipient.message_thread_id is not None:
        request["message_thread_id"] = recipient.message_thread_id
    if reply_to is not None:
        request["reply_parameters"] = {
            "message_id": reply_to,
            "allow_sending_without_reply": True,
        }
    return request


def _content(message: Message) -> dict[str, Any]:
    """What a new message and an edit say. An edit without reply_markup removes the buttons."""
    content: dict[str, Any] = {
        "text": message.parts["text"],
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    if message.button is not None:
        content["reply_markup"] = _keyboard(message.button)
    return content if len(content["text"]) <= TEXT_LIMIT else _as_plain_text(content)


def _keyboard(button: Button) -> dict[str, Any]:
    return {"inline_keyboard": [[{"text": button.label, "callback_data": button.data}]]}


def _message_id(earlier: Earlier) -> int | None:
    reference = earlier.reference or ""
    return int(reference) if reference.isascii() and reference.isdigit() else None


def _chat_of(earlier: Earlier) -> int | str:
    return earlier.address if earlier.address.startswith("@") else int(earlier.address)


def _is_same_chat(earlier: Earlier, recipient: TelegramRecipient) -> bool:
    """Whether the chat that has the earlier message is still the recipient's. One with a @name may
    be known by its number; a group gets another number when it is upgraded."""
    return isinstance(recipient.chat_id, str) or earlier.address == str(recipient.chat_id)


def _as_plain_text(request: Mapping[str, Any]) -> dict[str, Any]:
    """The same message without markup, cut to what Telegram accepts: an ugly message is better than
    none."""
    plain = {key: value for key, value in request.items() if key != "parse_mode"}
    plain["text"] = plain_text(request["text"])
    return plain


def plain_text(markup: str) -> str:
    """Telegram's HTML as text of at most 4096 code points. Links keep their address. Unknown tags
    stay visible, because they are data that somebody forgot to escape."""
    text = html.unescape(_TAG.sub("", _LINK.sub(r"\2 (\1)", markup)))
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


def _corrected(request: Mapping[str, Any], answer: Answer) -> dict[str, Any] | None:
    """The request that would answer this refusal; None when nothing would."""
    if new_chat_id := _new_chat_id(answer):
        elsewhere = {key: value for key, value in request.items() if key != "reply_parameters"}
        return {**elsewhere, "chat_id": new_chat_id}
    return _as_plain_text(request) if _is_unparsable(request, answer) else None


def _new_chat_id(answer: Answer) -> int | None:
    """The number of the group that the chat was upgraded to."""
    if answer.status != 400:
        return None
    chat_id = as_mapping(answer.fields.get("parameters")).get("migrate_to_chat_id")
    return chat_id if isinstance(chat_id, int) and not isinstance(chat_id, bool) else None


def _is_unparsable(request: Mapping[str, Any], answer: Answer) -> bool:
    is_refused = answer.status == 400 and "parse entities" in _description(answer).lower()
    return is_refused and "parse_mode" in request


def _edited(answer: Answer, message_id: int, earlier: Earlier) -> Outcome:
    """An edit may be repeated, so it is never in doubt."""
    outcome = _outcome(answer, None)
    if isinstance(outcome, InDoubt):
        return Retry(outcome.reason)
    if isinstance(outcome, Sent):
        sent_to = outcome.sent_to or earlier.address
        return Sent(outcome.reference or str(message_id), sent_to=sent_to)
    return outcome


def _outcome(answer: Answer, moved_to: Mapping[str, Any] | None) -> Outcome:
    if answer.is_success:
        if answer.fields.get("ok") is not True:
            return InDoubt(answer.reason("the answer is unreadable"))
        result = as_mapping(answer.fields.get("result"))
        message_id = result.get("message_id")
        chat_id = as_mapping(result.get("chat")).get("id")
        is_number = isinstance(chat_id, int) and not isinstance(chat_id, bool)
        return Sent(
            "" if message_id is None else str(message_id),
            moved_to,
            str(chat_id) if is_number else None,
        )
    if answer.status == 404:  # Telegram does not know this method or this bot
        return Misconfigured(answer.reason(_description(answer)))
    delay = seconds(as_mapping(answer.fields.get("parameters")).get("retry_after"))
    return refusal(answer, _description(answer), delay)


def _description(answer: Answer) -> str:
    return str(answer.fields.get("description", ""))
