"""What config.json may say of Telegram: its settings, its limits, its chats."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from notifier.channels.settings import (
    HOST_AND_PORT,
    ChannelSettings,
    Limits,
    Rate,
    Recipient,
    SecretName,
    without_user,
)


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


def _buttons(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """One error in place of one for each of the two forms."""
    try:
        return validate(value)
    except ValidationError:
        raise ValueError('must be true, false or "shown"') from None


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
    buttons: Annotated[bool | Literal["shown"], WrapValidator(_buttons)] = Field(
        default=False,
        description="True, false or shown. True: messages have a button to acknowledge them, and a"
        " notifier polls for its presses, so no other program may poll with this bot's token."
        " Shown: they have it, and another program polls and calls the HTTP API.",
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
