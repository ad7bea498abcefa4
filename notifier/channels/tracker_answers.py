"""What Tracker's answers say. Values in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from notifier.channels.http import Answer, as_mapping, refusal
from notifier.channels.outcomes import Failed, Outcome, Retry

COMMENTS_PER_PAGE = 50
"""Tracker's own default."""

_NEXT_PAGE = re.compile(r"""<([^<>]*)>[^<>]*;\s*rel="?next\b""", re.IGNORECASE)


def next_page(answer: Answer) -> dict[str, str] | None:
    """The parameters that ask for the page after this one; None: it is the last. They are those of
    the Link header, which Tracker's own client follows, or the last comment's id. The header's host
    is never followed: the token stays where it belongs."""
    link = _NEXT_PAGE.search(answer.headers.get("Link", ""))
    if link:
        return dict(parse_qsl(urlsplit(link[1]).query))
    last = as_mapping(answer.body[-1]).get("id") if answer.body else None
    if last is None or len(answer.body) < COMMENTS_PER_PAGE:
        return None
    return {"perPage": str(COMMENTS_PER_PAGE), "id": str(last)}


def undecided(wanted: str | None, fitting: list[str], offered: list[str]) -> str:
    """Why no transition is chosen, and what to do."""
    if wanted is not None:
        return (
            f"channels.st.close_transition names {wanted}, but the issue offers"
            f" {', '.join(offered) or 'no transition'}"
        )
    if fitting:
        return (
            "set channels.st.close_transition: several transitions lead to a status of type done:"
            f" {', '.join(fitting)}"
        )
    return (
        "set channels.st.close_transition: no transition leads to a status of type done; there are"
        f" {', '.join(offered) or 'none'}"
    )


def refused(answer: Answer) -> Outcome:
    """What a refusal means for an issue that exists: 409 says that somebody else changed it at the
    same time, and a redirect that the issue itself has moved."""
    if 300 <= answer.status < 400:
        return Failed(answer.reason("the issue has another address, which is not followed"))
    if answer.status == 409 and not answer.is_page:
        return Retry(answer.reason(explanation(answer)), is_authenticated=answer.is_authenticated)
    return refusal(answer, explanation(answer))


def unreadable(answer: Answer) -> str:
    return answer.reason("the answer is unreadable")


def issue_key(body: Any) -> str | None:
    """The key of an issue, or of the only issue in a list. A longer list proves nothing: a server
    that ignores the filter lists every issue."""
    if isinstance(body, list):
        body = body[0] if len(body) == 1 else None
    key = as_mapping(body).get("key")
    return key if isinstance(key, str) and key else None


def key_of(value: Any) -> str | None:
    """The key of a status or of a type, which may be an object or the key itself."""
    name = value if isinstance(value, str) else as_mapping(value).get("key")
    return name if isinstance(name, str) else None


def explanation(answer: Answer) -> str:
    """The error body as one line: errorMessages, then errors by field; both may be absent."""
    messages = answer.fields.get("errorMessages")
    errors: Mapping[str, Any] = as_mapping(answer.fields.get("errors"))
    texts = [str(text) for text in messages] if isinstance(messages, list) else []
    return "; ".join(texts + [f"{field}: {text}" for field, text in errors.items()])
