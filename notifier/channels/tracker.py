"""Yandex Tracker: one issue for each notification and queue. What follows becomes a comment on it,
or closes it.

`unique` makes creating an issue idempotent: Tracker answers a second one with the same value by 409
and creates nothing. So a request in doubt is simply repeated, and 409 means that the issue exists.
Comments have no such value. Ours end with a line that names the delivery, and before one is written
the comments are searched for that line. So whatever was in doubt can be repeated here as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from notifier.channels.base import Channel
from notifier.channels.http import Answer, as_mapping, refusal
from notifier.channels.outcomes import (
    Earlier,
    Failed,
    InDoubt,
    Message,
    Outcome,
    Retry,
    Sent,
)
from notifier.channels.settings import ChannelSettings
from notifier.channels.tracker_answers import (
    COMMENTS_PER_PAGE,
    explanation,
    issue_key,
    key_of,
    next_page,
    refused,
    undecided,
    unreadable,
)
from notifier.channels.tracker_settings import TrackerRecipient, TrackerSettings
from notifier.secrets import Secrets

LOOKUP_PAUSES_SECONDS = (0.0, 0.3, 0.7)
"""Before each search for an existing issue: Tracker does not document how far its index lags."""

UNIQUE_LIMIT = 255
"""The longest `unique` that is sent unchanged: Tracker does not document its own limit."""

PAGES_LIMIT = 250
"""More than an issue can have: Tracker lets a robot edit it some ten thousand times."""

OVER = frozenset({"done", "cancelled"})
"""The types of the statuses in which an issue needs nobody any more."""


class _Ended(Exception):
    """What follows cannot or need not be done: the outcome is known already."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Tracker(Channel):
    """Creates issues, comments on them and closes them."""

    name: ClassVar[str] = "st"
    parts: ClassVar[tuple[str, ...]] = ("summary", "description")
    follow_up_parts: ClassVar[tuple[str, ...]] = ("comment",)
    Settings = TrackerSettings
    Recipient = TrackerRecipient
    idempotent: ClassVar[bool] = True

    def __init__(self, settings: TrackerSettings, secrets: Secrets) -> None:
        super().__init__(settings, secrets, headers=_headers(settings, secrets))
        self._settings = settings
        self._timeout = settings.timeout_seconds
        self._api = f"{settings.root}/{settings.api_version}/"
        self._issues = f"{self._api}issues/"

    @classmethod
    def link(
        cls,
        settings: ChannelSettings,
        target: Mapping[str, Any],
        reference: str | None,
        sent_to: str | None,
    ) -> str | None:
        """The issue's page."""
        if not reference or not isinstance(settings, TrackerSettings):
            return None
        web_url = settings.web_url
        if web_url is None and urlsplit(settings.base_url).hostname == "api.tracker.yandex.net":
            web_url = "https://tracker.yandex.ru"
        return None if web_url is None else f"{web_url.rstrip('/')}/{quote(reference, safe='')}"

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
        key = issue_key(answer.body)
        if answer.is_success and key:
            return Sent(key)
        if answer.is_success or answer.status == 409:
            try:
                async with asyncio.timeout(self._timeout):
                    existing = await self._existing(unique)
            except _Ended as ended:
                return ended.outcome
            if existing:
                return Sent(existing, is_earlier=True)
            # The index may lag, and creating the issue again is harmless.
            return Retry(
                answer.reason("Tracker has the issue, but does not find it by `unique`"),
                is_authenticated=answer.is_authenticated,
                is_in_doubt=True,
            )
        return refusal(answer, explanation(answer))

    async def _follow_up(self, message: Message, earlier: Earlier) -> Outcome:
        """Reads what is there already, then writes with one request at most."""
        marker = _marker(message.key)
        text = f"{message.parts['comment'].rstrip()}\n\n`{marker}`"
        transition = None
        try:
            async with asyncio.timeout(self._timeout):
                key = earlier.reference or await self._confirmed(earlier.key)
                issue = self._issues + quote(key, safe="")
                is_said = await self._has_comment(issue, marker)
                if message.step == "resolved" and self._settings.on_resolved == "close":
                    transition = await self._closing(issue, key, is_said)
        except _Ended as ended:
            return ended.outcome
        if transition is None and is_said:
            return Sent(key)
        if transition is None:
            answer = await self._call(f"{issue}/comments", json={"text": text})
        else:
            answer = await self._call(
                f"{issue}/transitions/{quote(transition, safe='')}/_execute",
                json={
                    "resolution": self._settings.close_resolution,
                    **({} if is_said else {"comment": text}),
                },
            )
        if answer.is_success:
            return Sent(key) if answer.body is not None else InDoubt(unreadable(answer))
        if transition is not None and answer.status == 404 and not answer.is_page:
            # Somebody moved the issue meanwhile, perhaps to where it should go.
            return Retry(answer.reason(explanation(answer)))
        return refused(answer)

    async def _confirmed(self, alert_key: str) -> str:
        """The key of the issue that, as a person says, was created for an alert."""
        key = await self._existing(unique_value(alert_key))
        if key is None:
            raise _Ended(Retry("Tracker does not find the issue by `unique`"))
        return key

    async def _has_comment(self, issue: str, marker: str) -> bool:
        params = {"perPage": str(COMMENTS_PER_PAGE)}
        seen: set[str] = set()
        for _ in range(PAGES_LIMIT):
            answer = await self._read(f"{issue}/comments", list, params)
            comments = [as_mapping(comment) for comment in answer.body]
            if any(_has_line(comment.get("text"), marker) for comment in comments):
                return True
            ids = {str(comment.get("id")) for comment in comments}
            following = next_page(answer)
            if following is None or ids <= seen:
                return False
            seen |= ids
            params = following
        raise _Ended(Failed("the issue has too many comments to look for ours among them"))

    async def _closing(self, issue: str, key: str, is_said: bool) -> str | None:
        """The id of the transition that closes the issue; None: it gets the comment alone."""
        found = (await self._read(issue, dict)).fields
        types = {
            key_of(status): key_of(as_mapping(status).get("type"))
            for status in (await self._read(f"{self._api}statuses", list)).body
        }
        if types.get(key_of(found.get("status"))) in OVER:
            raise _Ended(Sent(key))
        if found.get("assignee") and not self._settings.close_assigned:
            return None
        offered = {
            str(as_mapping(transition).get("id")): types.get(
                key_of(as_mapping(transition).get("to"))
            )
            for transition in (await self._read(f"{issue}/transitions", list)).body
        }
        wanted = self._settings.close_transition
        if wanted is None:
            fitting = [transition for transition, type_ in offered.items() if type_ == "done"]
        else:
            fitting = [wanted] if wanted in offered else []
        if len(fitting) == 1:
            return fitting[0]
        if is_said:  # the transition was executed, but does not lead to a status of type done
            return None
        raise _Ended(Failed(undecided(wanted, fitting, [*offered]), is_authenticated=True))

    async def _read(
        self,
        url: str,
        kind: type[list[Any] | dict[str, Any]],
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """An answer whose body is a list or an object, as asked for."""
        answer = await self._call(url, method="GET", params=params)
        if not answer.is_success:
            raise _Ended(refused(answer))
        if not isinstance(answer.body, kind):
            raise _Ended(Retry(unreadable(answer)))
        return answer

    async def _existing(self, unique: str) -> str | None:
        """The key of the issue with this `unique`."""
        for pause in LOOKUP_PAUSES_SECONDS:
            await asyncio.sleep(pause)
            for find in (self._find_by_unique, self._search):
                answer = await find(unique)
                if answer.is_success and (key := issue_key(answer.body)):
                    return key
                if answer.status in (401, 429):
                    raise _Ended(refusal(answer, explanation(answer)))
        return None

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


def _marker(key: str) -> str:
    """The line by which a comment is found again. It is written as inline code, which nothing in it
    may end."""
    return " ".join(unique_value(key).replace("`", "'").split())


def _has_line(text: Any, marker: str) -> bool:
    return isinstance(text, str) and any(
        " ".join(line.split()).strip("`") == marker for line in text.splitlines()
    )


def _headers(settings: TrackerSettings, secrets: Secrets) -> dict[str, str]:
    scheme = {"oauth": "OAuth", "iam": "Bearer"}[settings.auth]
    headers = {"Authorization": f"{scheme} {secrets.get(settings.token_env)}"}
    if settings.org_id_env is not None:
        headers["X-Org-ID"] = secrets.get(settings.org_id_env)
    if settings.cloud_org_id_env is not None:
        headers["X-Cloud-Org-ID"] = secrets.get(settings.cloud_org_id_env)
    return headers
