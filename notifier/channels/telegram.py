"""Telegram: one sendMessage call of the Bot API for each message.

Telegram has no idempotency key, and bots cannot read what was sent: a request without an answer
stays in doubt. The meaning of each answer comes from the source of the Bot API server. Its wording
may change, so descriptions are matched loosely.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

import httpx
from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from notifier.channels.base import Channel
from notifier.channels.http import Answer, as_mapping, refusal, seconds
from notifier.channels.outcomes import InDoubt, Message, Misconfigured, Outcome, Sent
from notifier.channels.settings import (
    HOST_AND_PORT,
    ChannelSettings,
    Limits,
    Rate,
    Recipient,
    SecretName,
    without_user,
)
from notifier.secrets import SecretMissing, Secrets

TEXT_LIMIT = 4096
"""Code points after parsing. Parsing never lengthens a text, so a raw text of this length fits."""

_SUPERGROUP = re.compile(r"-100([0-9]{10,})")
"""The chat_id of a supergroup, and its own number in it. Basic groups have shorter numbers."""

_TAG = re.compile(
    r"</?(?:b|strong|i|em|u|ins|s|strike|del|a|code|pre|blockquote|span|tg-[a-z]+)(?:\s[^<>]*)?>",
    re.IGNORECASE,
)
_LINK = re.compile(r"""<a\s+href=["']([^"'<>]*)["']\s*>(.*?)</a>""", re.IGNORECASE | re.DOTALL)


class TelegramLimits(Limits):
    """The limits in Telegram's FAQ for bots. They are guidance: the real ones are not published."""

    per_channel: list[Rate] = Field(
        default=[Rate(messages=30, seconds=1)], description="For the channel as a whole."
    )
    per_target: list[Rate] = Field(
        default=[Rate(messages=1, seconds=1)], description="For each chat."
    )
    per_group: list[Rate] = Field(
        default=[Rate(messages=20, seconds=60)],
        description="For each group and public channel, in addition to per_target.",
    )


class TelegramSettings(ChannelSettings):
    """channels.telegram of the configuration."""

    limits: TelegramLimits | None = Field(
        default=TelegramLimits(),
        description="How many messages may be sent, and how fast; null: no limit.",
    )
    proxy: (
        Annotated[
            str,
            Field(
                pattern=rf"^(https?|socks5h?)://{HOST_AND_PORT}/?$",
                max_length=2048,
                description="An http, https, socks5 or socks5h URL: only a host and a port.",
            ),
            BeforeValidator(without_user),
        ]
        | None
    ) = None
    proxy_auth_env: SecretName | None = None
    in_doubt: Literal["resend", "hold"] = Field(
        default="resend",
        description="What to do with a message that may have been delivered: resend sends it again,"
        " hold leaves it to a person.",
    )
    on_resolved: Literal["edit", "reply", "nothing"] = Field(
        default="edit",
        description="What becomes of a message when its interval is over: it shows the outcome, a"
        " reply says so, or nothing.",
    )
    buttons: bool = Field(
        default=False,
        description="Messages have a button to acknowledge them. A notifier polls for its presses,"
        " so no other program may poll with this bot's token.",
    )


def _chat_id(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """One error in place of one for each of the three forms."""
    try:
        return validate(value)
    except ValidationError:
        raise ValueError(
            "must be a number other than 0 (negative for groups), or @ and the name of a public"
            " channel or group"
        ) from None


class TelegramRecipient(Recipient):
    """A chat, or one topic of a forum."""

    type: Literal["telegram"]
    chat_id: Annotated[
        Annotated[int, Field(ge=1, lt=2**63)]
        | Annotated[int, Field(ge=-(2**63), le=-1)]
        | Annotated[str, Field(pattern=r"^@[A-Za-z][A-Za-z0-9_]{3,31}$")],
        WrapValidator(_chat_id),
    ] = Field(
        description="The chat's number, negative for groups and never 0, or the @name of a public"
        " channel or group."
    )
    message_thread_id: int | None = Field(
        default=None,
        ge=2,
        lt=2**31,
        description="A topic of a forum. The General topic is named by leaving it out.",
    )


class Telegram(Channel):
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
        self._url = f"{settings.root}/bot{token}/sendMessage"

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
        request = _request(recipient, message.parts["text"])
        answer = await self._call(self._url, json=request)
        for _ in range(2):  # once to the group's new number, once as plain text
            corrected = _corrected(request, answer)
            if corrected is None:
                break
            request = corrected
            answer = await self._call(self._url, json=request)
        moved = request["chat_id"] != recipient.chat_id
        moved_to = {**message.target, "chat_id": request["chat_id"]} if moved else None
        return _outcome(answer, moved_to)


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


def _request(recipient: TelegramRecipient, text: str) -> dict[str, Any]:
    request: dict[str, Any] = {
        "chat_id": recipient.chat_id,
        "text": text,
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    if recipient.message_thread_id is not None:
        request["message_thread_id"] = recipient.message_thread_id
    return request if len(text) <= TEXT_LIMIT else _as_plain_text(request)


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
    if answer.status != 400:
        return None
    new_chat_id = as_mapping(answer.fields.get("parameters")).get("migrate_to_chat_id")
    if isinstance(new_chat_id, int) and not isinstance(new_chat_id, bool):
        return {**request, "chat_id": new_chat_id}
    if "parse entities" in _description(answer).lower() and "parse_mode" in request:
        return _as_plain_text(request)
    return None


def _outcome(answer: Answer, moved_to: Mapping[str, Any] | None) -> Outcome:
    if answer.is_success:
        if answer.fields.get("ok") is not True:
            return InDoubt(answer.reason("the answer is unreadable"))
        message_id = as_mapping(answer.fields.get("result")).get("message_id")
        return Sent("" if message_id is None else str(message_id), moved_to)
    if answer.status == 404:  # Telegram does not know this method or this bot
        return Misconfigured(answer.reason(_description(answer)))
    delay = seconds(as_mapping(answer.fields.get("parameters")).get("retry_after"))
    return refusal(answer, _description(answer), delay)


def _description(answer: Answer) -> str:
    return str(answer.fields.get("description", ""))
