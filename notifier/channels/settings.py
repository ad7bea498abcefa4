"""What config.json may say of a channel: its settings, its limits, its recipients.

The patterns use only what Python, Rust (pydantic) and PostgreSQL read alike.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Strict(BaseModel):
    """A model that accepts its own fields only, and never shows a refused value in an error."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [
        f"({_GROUP}:){{7}}{_GROUP}",
        f"({_GROUP}:){{1,7}}:",
        *(f"({_GROUP}:){{1,{7 - n}}}(:{_GROUP}){{1,{n}}}" for n in range(1, 7)),
        f":((:{_GROUP}){{1,7}}|:)",
    ]
)
# A label that begins with a letter must not have "--" as its third and fourth characters: httpx
# decodes xn-- labels, and fails on those that decode to nothing. The last label needs a letter, so
# that 1.2.3 is not taken for a name.
_LABEL = "[A-Za-z]([A-Za-z0-9_-](-?[A-Za-z0-9_][A-Za-z0-9_-]*|-)?)?"
_NAME = (
    rf"(({_LABEL}|[0-9_-][A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+\.)*[0-9_-]*[A-Za-z][A-Za-z0-9_-]*"
    rf"|{_LABEL}|[0-9_-]+[A-Za-z][A-Za-z0-9_-]*)\.?"
)
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HOST_AND_PORT = rf"({_OCTET}(\.{_OCTET}){{3}}|\[({_IPV6})\]|{_NAME})(:{_PORT})?"
"""Pattern of a URL's authority without a user: a name or an address, and an optional port."""


def without_user(url: Any) -> Any:
    """Refuses a user or a password in a URL with a clear message; the pattern alone would refuse
    it without one. The config never holds a secret."""
    if isinstance(url, str) and re.match(r"[^/?#]*//[^/?#]*@", url):
        raise ValueError("must not hold a user or a password: name a secret for them instead")
    return url


SecretName: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^([A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]{0,39}|[A-Za-z_]+[0-9]*)$",
        max_length=128,
        description="The name of the environment variable, or of the file in"
        " $CREDENTIALS_DIRECTORY, that holds the secret: letters, digits and _, such as"
        " TELEGRAM_BOT_TOKEN. A name that mixes digits with letters of both cases, or with many"
        " lowercase letters, is taken for the secret itself and refused.",
    ),
]

HttpUrl: TypeAlias = Annotated[
    str,
    Field(
        pattern=rf"^https?://{HOST_AND_PORT}(/[A-Za-z0-9._~%/-]*)?$",
        max_length=2048,
        description="An http:// or https:// URL in ASCII: a host, an optional port and path.",
    ),
    BeforeValidator(without_user),
]


class Rate(Strict):
    """At most this many messages in any window of this many seconds."""

    messages: int = Field(ge=1, le=1000)
    seconds: float = Field(gt=0, le=86400)


class Limits(Strict):
    """How many messages all notifiers together may send to a channel. An empty list: no limit."""

    per_channel: list[Rate] = Field(default=[], description="For the channel as a whole.")
    per_target: list[Rate] = Field(default=[], description="For each chat or queue.")
    in_flight_per_target: int | None = Field(
        default=10,
        ge=1,
        le=10000,
        description="How many messages may be in flight to one chat or queue at once, so that a"
        " slow one leaves room for the others; null: no limit.",
    )


class ChannelSettings(Strict):
    """The settings that every channel has."""

    limits: Limits | None = Field(
        default=Limits(), description="How many messages may be sent, and how fast; null: no limit."
    )

    base_url: HttpUrl
    token_env: SecretName
    timeout_seconds: float = Field(
        default=30,
        gt=0,
        le=300,
        description="The longest that one request may take, from connecting to the end of the"
        " answer. If it is too short, deliveries end up in doubt.",
    )

    digest_above: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="If more alerts than this wait for one chat or queue, those waiting go as one"
        " message; null: each alert is a message.",
    )

    @property
    def root(self) -> str:
        """base_url without a trailing slash."""
        return self.base_url.rstrip("/")


class Recipient(Strict):
    """A recipient that a route names. A channel narrows `type` to its own name and adds fields."""

    type: str
