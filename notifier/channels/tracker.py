"""Yandex Tracker: one issue for each notification and queue.

`unique` makes creating an issue idempotent: Tracker answers a second one with the same value by 409
and creates nothing. So a request in doubt is simply repeated, and 409 means that the issue exists.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from notifier.channels.base import Channel
from notifier.channels.http import Answer, as_mapping, refusal
from notifier.channels.outcomes import Message, Outcome, Retry, Sent
from notifier.channels.settings import ChannelSettings, HttpUrl, Recipient, SecretName
from notifier.secrets import Secrets

LOOKUP_PAUSES_SECONDS = (0.0, 0.3, 0.7)
"""Before each search for an existing issue: Tracker does not document how far its index lags."""

UNIQUE_LIMIT = 255
"""The longest `unique` that is sent unchanged: Tracker does not document its own limit."""


class TrackerSettings(ChannelSettings):
    """channels.st of the configuration."""

    model_config = ConfigDict(
        json_schema_extra={"not": {"required": ["org_id_env", "cloud_org_id_env"]}}
    )

    api_version: Literal["v2", "v3"] = "v3"
    auth: Literal["oauth", "iam"] = Field(
        default="oauth", description="The kind of token: OAuth, or IAM for a cloud organization."
    )
    org_id_env: SecretName | None = None
    cloud_org_id_env: SecretName | None = None
    on_resolved: Literal["comment", "close", "nothing"] = Field(
        default="comment",
        description="What becomes of a ticket when its interval is over: a comment says so, it is"
        " closed with that comment, or nothing.",
    )
    close_transition: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]+$", max_length=64)] | None = (
        Field(
            default=None,
            description="The id of the transition that closes a ticket: letters, digits, _, . and"
            " -; null: the only one to a status of type done.",
        )
    )
    close_resolution: Annotated[str, Field(pattern="^[A-Za-z0-9_.-]+$", max_length=64)] = Field(
        default="fixed",
        description="The key of the resolution of a closed ticket: letters, digits, _, . and -.",
    )
    close_assigned: bool = Field(
        default=False,
        description="Whether to close a ticket that somebody is assigned to; otherwise it gets the"
        " comment alone.",
    )
    web_url: HttpUrl | None = Field(
        default=None,
        description="Where people read tickets; null: https://tracker.yandex.ru if base_url is that"
        " of Yandex, and no links otherwise.",
    )

    @model_validator(mode="after")
    def _one_organization(self) -> Self:
        if {"org_id_env", "cloud_org_id_env"} <= self.model_fields_set:
            raise ValueError(
                "org_id_env and cloud_org_id_env exclude each other: set the one for Yandex 360,"
                " the one for Yandex Cloud, or neither for your own installation"
            )
        return self


class TrackerRecipient(Recipient):
    """The queue in which to create an issue."""

    type: Literal["st"]
    queue: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9]*$",
        max_length=64,
        description="The queue's key: letters and digits, the first a letter.",
    )


class Tracker(Channel):
    """Creates issues."""

    name: ClassVar[str] = "st"
    parts: ClassVar[tuple[str, ...]] = ("summary", "description")
    Settings = TrackerSettings
    Recipient = TrackerRecipient
    idempotent: ClassVar[bool] = True

    def __init__(self, settings: TrackerSettings, secrets: Secrets) -> None:
        super().__init__(settings, secrets, headers=_headers(settings, secrets))
        self._timeout = settings.timeout_seconds
        self._issues = f"{settings.root}/{settings.api_version}/issues/"

    async def _send(self, message: Message) -> Outcome:
        recipient = TrackerRecipient.model_validate(dict(message.target))
        unique = unique_value(message.key)
        issue = {
            "summary": " ".join(message.parts["summary"].split()),
            "queue": recipient.queue,
            "description": message.parts["description"],
            "unique": unique,
        }
        answer = await self._call(self._issues, json=issue)
        key = _key(answer.body)
        if answer.is_success and key:
            return Sent(key)
        if answer.is_success or answer.status == 409:
            async with asyncio.timeout(self._timeout):
                return await self._existing(unique, answer)
        return refusal(answer, _explanation(answer))

    async def _existing(self, unique: str, created: Answer) -> Outcome:
        """Looks for the issue with this `unique`. If there is none, the message is retried: the
        index may lag, and creating the issue again is harmless."""
        for pause in LOOKUP_PAUSES_SECONDS:
            await asyncio.sleep(pause)
            for find in (self._find_by_unique, self._search):
                answer = await find(unique)
                if answer.is_success and (key := _key(answer.body)):
                    return Sent(key)
                if answer.status in (401, 429):
                    return refusal(answer, _explanation(answer))
        return Retry(
            f"HTTP {created.status}: Tracker has the issue, but does not find it by `unique`",
            is_authenticated=created.is_authenticated,
        )

    async def _find_by_unique(self, unique: str) -> Answer:
        # Not documented, but Tracker's own Python client does this.
        return await self._call(self._issues + "_findByUnique", params={"unique": unique})

    async def _search(self, unique: str) -> Answer:
        return await self._call(self._issues + "_search", json={"filter": {"unique": unique}})


def unique_value(key: str) -> str:
    """The value of `unique` for an idempotency key: the key itself. A key that is too long or not
    printable ASCII is replaced by its readable beginning and its SHA-256."""
    if len(key) <= UNIQUE_LIMIT and key.isascii() and key.isprintable():
        return key
    beginning = re.sub(r"[^A-Za-z0-9_]+", "-", key)[:60]
    return f"{beginning}-{hashlib.sha256(key.encode()).hexdigest()}"


def _headers(settings: TrackerSettings, secrets: Secrets) -> dict[str, str]:
    scheme = {"oauth": "OAuth", "iam": "Bearer"}[settings.auth]
    headers = {"Authorization": f"{scheme} {secrets.get(settings.token_env)}"}
    if settings.org_id_env is not None:
        headers["X-Org-ID"] = secrets.get(settings.org_id_env)
    if settings.cloud_org_id_env is not None:
        headers["X-Cloud-Org-ID"] = secrets.get(settings.cloud_org_id_env)
    return headers


def _key(body: Any) -> str | None:
    """The key of an issue, or of the only issue in a list. A longer list proves nothing: a server
    that ignores the filter lists every issue."""
    if isinstance(body, list):
        body = body[0] if len(body) == 1 else None
    key = as_mapping(body).get("key")
    return key if isinstance(key, str) and key else None


def _explanation(answer: Answer) -> str:
    """The error body as one line: errorMessages, then errors by field; both may be absent."""
    messages = answer.fields.get("errorMessages")
    errors: Mapping[str, Any] = as_mapping(answer.fields.get("errors"))
    texts = [str(text) for text in messages] if isinstance(messages, list) else []
    return "; ".join(texts + [f"{field}: {text}" for field, text in errors.items()])
