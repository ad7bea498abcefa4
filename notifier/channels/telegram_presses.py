"""Telegram's getUpdates: what is asked, and the presses of buttons in its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.channels.http import Answer, as_mapping, retry_after, seconds
from notifier.channels.presses import Press, Presses, PressesRefused
from notifier.text import one_line

NAME_LIMIT = 200
"""The most characters of a presser's name that are kept."""


def request_for(offset: int, wait_seconds: int) -> Mapping[str, Any]:
    """The body of getUpdates. Telegram ignores an offset that is far in the future, as one of
    another bot may be."""
    return {
        "offset": offset,
        "limit": 100,
        "timeout": wait_seconds,
        "allowed_updates": ["callback_query"],
    }


def presses_in(answer: Answer) -> Presses:
    """The presses in an answer of getUpdates. Raises PressesRefused."""
    updates = answer.fields.get("result")
    if not answer.is_success or not isinstance(updates, list):
        raise _refused(answer)
    if not updates:
        return Presses()
    try:
        last_id = max(int(update["update_id"]) for update in updates)
    except (KeyError, TypeError, ValueError):
        raise _refused(answer) from None
    return Presses(tuple(press for each in updates if (press := _press(each))), last_id + 1)


def _refused(answer: Answer) -> PressesRefused:
    text = str(answer.fields.get("description", ""))
    stated = seconds(as_mapping(answer.fields.get("parameters")).get("retry_after"))
    reason = answer.reason(text)
    if answer.status == 409 and "webhook" in text.lower():
        reason = (
            "the bot has a webhook, which takes them: remove it (deleteWebhook), give the"
            " notifier a bot of its own, or set channels.telegram.buttons to false"
        )
    elif answer.status == 409:
        reason = (
            "another program polls with this bot's token: stop it, give the notifier a bot of"
            ' its own, or set channels.telegram.buttons to false (to "shown" if that program'
            " reads the presses)"
        )
    is_final = answer.status in (401, 403, 404, 409) and not answer.is_page
    return PressesRefused(reason, stated or retry_after(answer), is_final=is_final)


def _press(update: Mapping[str, Any]) -> Press | None:
    """None: an update of another kind, which allowed_updates may not have held back yet."""
    query = as_mapping(update.get("callback_query"))
    if not isinstance(query.get("id"), str):
        return None
    message = as_mapping(query.get("message"))
    chat = as_mapping(message.get("chat"))
    name = chat.get("username")
    return Press(
        query["id"],
        one_line(str(query.get("data", ""))),
        _text(chat.get("id")),
        one_line(f"@{name}") if name else None,
        _text(message.get("message_id")),
        _name(as_mapping(query.get("from"))),
    )


def _name(user: Mapping[str, Any]) -> str:
    if username := user.get("username"):
        return one_line(f"@{username}")[:NAME_LIMIT]
    names = (user.get("first_name"), user.get("last_name"))
    name = one_line(" ".join(str(each) for each in names if each))
    return name[:NAME_LIMIT].strip() or f"user {user.get('id', '?')}"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
